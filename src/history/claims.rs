//! What the two history tables claim, checked against the files and against each other.

use super::rows::{AlembicRow, SqlxRow, read_alembic, read_sqlx};
use super::{History, Origin, ahead, alembic_id_at, changed, place};
use crate::error::{Error, Problem, Result};
use crate::migration::{Migrations, Version};
use crate::sqlite::Connection;

/// The rows of both tables: of sqlx a gapless beginning of the files, of Alembic at most one.
pub(super) struct Claims {
    pub(super) rows: Vec<SqlxRow>,
    pub(super) alembic: AlembicRow,
}

impl Claims {
    pub(super) async fn read(connection: &mut Connection, files: &Migrations) -> Result<Self> {
        let claims = Self {
            rows: read_sqlx(connection).await?,
            alembic: read_alembic(connection).await?,
        };
        if let Some(message) = claims.contradiction() {
            return Err(place::refuse(connection, files, message).await?);
        }
        if claims.rows.last().map(|row| row.version) > files.head() {
            return Err(ahead::newer(connection, files, &claims).await?);
        }
        claims.require_files(files)?;
        if let Some(message) = claims.gap(files) {
            return Err(place::refuse(connection, files, message).await?);
        }
        Ok(claims)
    }

    /// What makes no sense whatever the files are.
    fn contradiction(&self) -> Option<String> {
        if let AlembicRow::Several(ids) = &self.alembic {
            return Some(format!(
                "alembic_version has {} rows ({}); branches are not supported",
                ids.len(),
                ids.join(", ")
            ));
        }
        self.rows.iter().find(|row| !row.success).map(|row| {
            format!(
                "another migrator stopped in the middle of {}: _sqlx_migrations says success = 0; look first which of its statements were done",
                row.version
            )
        })
    }

    fn require_files(&self, files: &Migrations) -> Result<()> {
        let missing = |row: &&SqlxRow| files.get(row.version).is_none();
        let problems: Vec<Problem> = self
            .rows
            .iter()
            .filter(missing)
            .map(|row| {
                let message = "is applied in the database, but its file is missing";
                Problem::new(row.version.to_string(), message)
            })
            .collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Migrations {
            folder: files.folder().to_path_buf(),
            problems,
        })
    }

    fn gap(&self, files: &Migrations) -> Option<String> {
        files
            .up_to(self.last())
            .find(|migration| !self.rows.iter().any(|row| row.version == migration.version))
            .map(|migration| {
                format!(
                    "{} was never applied, although later migrations were",
                    migration.version
                )
            })
    }

    /// The last version of sqlx's rows.
    pub(super) fn last(&self) -> Option<Version> {
        self.rows.last().map(|row| row.version)
    }

    /// Files that were changed after they were applied.
    pub(super) async fn changed(
        &self,
        connection: &mut Connection,
        files: &Migrations,
    ) -> Result<Vec<Problem>> {
        changed::find(connection, &self.rows, files).await
    }

    /// Where the database stands: as both tables say, or else by its schema.
    pub(super) async fn settle(
        self,
        connection: &mut Connection,
        files: &Migrations,
    ) -> Result<History> {
        if let AlembicRow::At(id) = &self.alembic
            && files.by_alembic(id).is_none()
        {
            return Err(ahead::newer(connection, files, &self).await?);
        }
        let in_step = !(files.speaks_alembic() && self.alembic == AlembicRow::NoTable);
        match self.last() {
            Some(version) if self.agree_on(version, files) => Ok(History {
                current: Some(version),
                origin: Origin::Recorded,
                in_step,
            }),
            _ => place::place(connection, files, &self).await,
        }
    }

    fn agree_on(&self, version: Version, files: &Migrations) -> bool {
        let expected = alembic_id_at(Some(version), files);
        match &self.alembic {
            AlembicRow::NoTable => true,
            AlembicRow::Empty => expected.is_none(),
            AlembicRow::At(id) => expected.as_ref() == Some(id),
            AlembicRow::Several(_) => false,
        }
    }
}
