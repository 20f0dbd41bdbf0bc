//! Finding the revision of a database whose history tables are silent or disagree: by its real schema.

use super::rows::AlembicRow;
use super::{History, Origin};
use crate::error::{Error, Problem, Result};
use crate::migration::{Migrations, Version, version_name};
use crate::schema::{self, Difference, RevisionSchema, Schema, Weight};
use crate::sqlite::Connection;

pub(super) async fn place(
    connection: &mut Connection,
    migrations: &Migrations,
    alembic: &AlembicRow,
    recorded: Vec<Version>,
) -> Result<History> {
    let found = schema::read(connection).await?;
    let claims = claims(alembic, &recorded, migrations);
    if found.is_empty() && claims.is_empty() {
        return Ok(History {
            current: None,
            origin: Origin::Fresh,
            in_step: false,
            recorded,
        });
    }
    let revisions = schema::build_all(migrations).await?;
    let (current, origin) = match claims.as_slice() {
        [] => (by_schema(&revisions, &found)?, Origin::Schema),
        claims => (by_claims(claims, &revisions, &found)?, Origin::Alembic),
    };
    Ok(History {
        current: Some(current),
        origin,
        in_step: false,
        recorded,
    })
}

/// What the two tables say, where they say anything. `alembic downgrade base` leaves `alembic_version` empty; that alone
/// says nothing (a failed first revision does the same), but beside a row of sqlx it may mean the base.
fn claims(alembic: &AlembicRow, recorded: &[Version], migrations: &Migrations) -> Vec<Version> {
    let by_alembic = match alembic {
        AlembicRow::At(id) => migrations.by_alembic(id).map(|migration| migration.version),
        AlembicRow::Empty | AlembicRow::NoTable => None,
    };
    let by_empty_table = match alembic {
        AlembicRow::Empty if !recorded.is_empty() => migrations.base(),
        _ => None,
    };
    by_alembic
        .into_iter()
        .chain(recorded.last().copied())
        .chain(by_empty_table)
        .collect()
}

/// Differences that tell one revision from another.
fn telling(revision: &RevisionSchema, found: &Schema) -> Vec<Difference> {
    let mut list = schema::differences(&revision.schema, found);
    list.retain(|difference| difference.weight != Weight::Detail);
    list
}

fn structural(list: Vec<Difference>) -> Vec<Problem> {
    list.into_iter()
        .filter(|difference| difference.weight == Weight::Structure)
        .map(|difference| difference.problem)
        .collect()
}

/// A file up to this version cannot be applied to an empty database, so there is no schema to compare with.
fn unbuildable(version: Version) -> Problem {
    Problem::new(
        version.to_string(),
        "its schema cannot be built from the files: one of them fails on an empty database",
    )
}

/// One of the claims, if the schema bears it out.
fn by_claims(claims: &[Version], revisions: &[RevisionSchema], found: &Schema) -> Result<Version> {
    let gaps = |version: Version| {
        revisions
            .iter()
            .find(|revision| revision.version == version)
            .map_or_else(
                || vec![unbuildable(version)],
                |revision| structural(schema::differences(&revision.schema, found)),
            )
    };
    if let Some(version) = claims.iter().find(|version| gaps(**version).is_empty()) {
        return Ok(*version);
    }
    let said = claims.first().copied();
    let really = nearest(revisions, found);
    Err(Error::Unplaceable {
        message: format!(
            "the database says that it is at {}, but its schema is not that of {} (it is nearest to {})",
            version_name(said),
            version_name(said),
            version_name(really),
        ),
        differences: said.map(gaps).unwrap_or_default(),
    })
}

/// The one revision that the schema is that of.
fn by_schema(revisions: &[RevisionSchema], found: &Schema) -> Result<Version> {
    let fits: Vec<&RevisionSchema> = revisions
        .iter()
        .filter(|revision| telling(revision, found).is_empty())
        .collect();
    let Some(best) = fits.last() else {
        let near = nearest(revisions, found);
        let gaps = revisions
            .iter()
            .find(|revision| Some(revision.version) == near)
            .map_or_else(Vec::new, |revision| telling(revision, found));
        return Err(Error::Unplaceable {
            message: format!(
                "the database has tables but no history, and its schema is that of no revision (it is nearest to {})",
                version_name(near)
            ),
            differences: gaps
                .into_iter()
                .map(|difference| difference.problem)
                .collect(),
        });
    };
    let outline = best.schema.outline();
    let twins: Vec<&RevisionSchema> = fits
        .iter()
        .copied()
        .filter(|other| other.schema.outline() == outline)
        .collect();
    the_one_among(&twins, found)
}

/// Revisions that differ in details at most: the only one that the database equals in these, too.
fn the_one_among(twins: &[&RevisionSchema], found: &Schema) -> Result<Version> {
    let exact: Vec<&&RevisionSchema> = twins
        .iter()
        .filter(|revision| schema::differences(&revision.schema, found).is_empty())
        .collect();
    match (twins, exact.as_slice()) {
        ([only], _) => Ok(only.version),
        (_, [only]) => Ok(only.version),
        _ => {
            let names: Vec<String> = twins.iter().map(|twin| twin.version.to_string()).collect();
            Err(Error::Unplaceable {
                message: format!(
                    "the database has tables but no history, and {} have the same schema",
                    names.join(" and ")
                ),
                differences: Vec::new(),
            })
        }
    }
}

fn nearest(revisions: &[RevisionSchema], found: &Schema) -> Option<Version> {
    revisions
        .iter()
        .min_by_key(|revision| telling(revision, found).len())
        .map(|revision| revision.version)
}
