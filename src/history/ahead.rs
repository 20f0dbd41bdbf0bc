//! Databases that are newer than the files: what they are at, and whether the scripts that they keep lead back.

use super::claims::Claims;
use super::rows::{AlembicRow, SqlxRow, read_alembic, read_sqlx};
use super::stored;
use crate::error::{Error, NewerRevision, Result, Revision};
use crate::migration::{Migration, Migrations, StoredText, version_name};
use crate::sqlite::Connection;

/// The files, and above their head the migrations that the database keeps itself, if it keeps all that are applied:
/// the way down from a newer image's revision. Otherwise the files alone.
pub async fn with_stored(connection: &mut Connection, files: &Migrations) -> Result<Migrations> {
    let rows = read_sqlx(connection).await?;
    let alembic = read_alembic(connection).await?;
    let above = above(&rows, files);
    let kept = kept(connection, files, &above).await?;
    Ok(joined(files, &above, kept, &alembic).unwrap_or_else(|| files.clone()))
}

/// The refusal of a database that is newer than the files.
pub(super) async fn newer(
    connection: &mut Connection,
    files: &Migrations,
    claims: &Claims,
) -> Result<Error> {
    let above = above(&claims.rows, files);
    let kept = kept(connection, files, &above).await?;
    let unknown = match &claims.alembic {
        AlembicRow::At(id) if files.by_alembic(id).is_none() => Some(id.clone()),
        _ => None,
    };
    let mut revisions: Vec<Revision> = above.iter().map(|row| revision(row, &kept)).collect();
    if let Some(last) = revisions.last_mut()
        && last.alembic.is_none()
    {
        last.alembic.clone_from(&unknown);
    }
    let leads_back = joined(files, &above, kept, &claims.alembic).is_some();
    Ok(Error::UnknownRevision(Box::new(NewerRevision {
        revisions,
        alembic: unknown,
        head: files.all().last().map_or_else(String::new, Migration::name),
        downgrade_to: leads_back.then(|| version_name(files.head())),
    })))
}

fn revision(row: &SqlxRow, kept: &[Migration]) -> Revision {
    let migration = kept
        .iter()
        .find(|migration| migration.version == row.version);
    Revision {
        version: row.version.to_string(),
        description: row.description.clone(),
        alembic: migration.and_then(|migration| migration.alembic.clone()),
    }
}

fn above<'r>(rows: &'r [SqlxRow], files: &Migrations) -> Vec<&'r SqlxRow> {
    rows.iter()
        .filter(|row| Some(row.version) > files.head())
        .collect()
}

/// The kept migrations among `above` whose way up is the one that was applied, by the recorded checksum.
async fn kept(
    connection: &mut Connection,
    files: &Migrations,
    above: &[&SqlxRow],
) -> Result<Vec<Migration>> {
    if above.is_empty() {
        return Ok(Vec::new());
    }
    let texts = stored::read_above(connection, files.head()).await?;
    let migrations = texts.into_iter().filter_map(StoredText::migration);
    Ok(migrations
        .filter(|migration| {
            above
                .iter()
                .any(|row| row.version == migration.version && migration.up.matches(&row.checksum))
        })
        .collect())
}

fn joined(
    files: &Migrations,
    above: &[&SqlxRow],
    kept: Vec<Migration>,
    alembic: &AlembicRow,
) -> Option<Migrations> {
    if above.is_empty() || kept.len() != above.len() {
        return None;
    }
    let joined = files.extended(kept)?;
    match alembic {
        AlembicRow::At(id) => joined.by_alembic(id).is_some().then_some(joined),
        AlembicRow::NoTable | AlembicRow::Empty => Some(joined),
        AlembicRow::Several(_) => None,
    }
}
