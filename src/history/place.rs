//! Finding the revision of a database whose history tables are silent or disagree: by its real schema.

use super::claims::Claims;
use super::rows::AlembicRow;
use super::{History, Origin};
use crate::error::{Error, Nearest, Problem, Result};
use crate::migration::{Migrations, Version, version_name};
use crate::schema::{self, Difference, RevisionSchema, Schema, Weight};
use crate::sqlite::{Connection, Interrupt};

/// A database, and what it is compared with.
struct Place<'p> {
    files: &'p Migrations,
    revisions: Vec<RevisionSchema>,
    found: Schema,
}

pub(super) async fn place(
    connection: &mut Connection,
    files: &Migrations,
    claims: &Claims,
) -> Result<History> {
    let found = schema::read(connection).await?;
    let claimed = claimed(claims, files);
    if found.is_empty() && claimed.is_empty() {
        return Ok(History {
            current: None,
            origin: Origin::Fresh,
            in_step: false,
        });
    }
    let place = Place::new(files, found, connection.interrupt()).await?;
    let (current, origin) = if claimed.is_empty() {
        (place.by_schema()?, Origin::Schema)
    } else {
        (place.by_claims(&claimed)?, Origin::Alembic)
    };
    Ok(History {
        current: Some(current),
        origin,
        in_step: false,
    })
}

/// The refusal of a database whose history tables cannot be made sense of.
pub(super) async fn refuse(
    connection: &mut Connection,
    files: &Migrations,
    message: String,
) -> Result<Error> {
    let found = schema::read(connection).await?;
    let place = Place::new(files, found, connection.interrupt()).await?;
    Ok(place.refusal(message, Vec::new()))
}

/// In what the schema of a database differs from that of a revision; empty where it is that one.
pub async fn misfits(
    connection: &mut Connection,
    files: &Migrations,
    version: Option<Version>,
) -> Result<Vec<Problem>> {
    let found = schema::read(connection).await?;
    let place = Place::new(files, found, connection.interrupt()).await?;
    Ok(version.map_or_else(|| place.leftovers(), |version| place.misfits(version)))
}

/// What the two tables say, where they say anything. `alembic downgrade base` leaves `alembic_version` empty; that alone
/// says nothing (a failed first revision does the same), but beside a row of sqlx it may mean the base.
fn claimed(claims: &Claims, files: &Migrations) -> Vec<Version> {
    let by_alembic = match &claims.alembic {
        AlembicRow::At(id) => files.by_alembic(id).map(|migration| migration.version),
        AlembicRow::Empty | AlembicRow::NoTable | AlembicRow::Several(_) => None,
    };
    let by_empty_table = match claims.alembic {
        AlembicRow::Empty if !claims.rows.is_empty() => files.base(),
        _ => None,
    };
    by_alembic
        .into_iter()
        .chain(claims.last())
        .chain(by_empty_table)
        .collect()
}

/// A file up to this version cannot be applied to an empty database, so there is no schema to compare with.
fn unbuildable(version: Version) -> Problem {
    Problem::new(
        version.to_string(),
        "its schema cannot be built from the files: one of them fails on an empty database",
    )
}

fn problems(list: Vec<Difference>) -> Vec<Problem> {
    list.into_iter()
        .map(|difference| difference.problem)
        .collect()
}

impl<'p> Place<'p> {
    async fn new(files: &'p Migrations, found: Schema, interrupt: &Interrupt) -> Result<Self> {
        let revisions = schema::build_all(files, interrupt).await?;
        Ok(Self {
            files,
            revisions,
            found,
        })
    }

    /// Those that tell one revision from another: databases of one revision may differ in details.
    fn differences(&self, revision: &RevisionSchema) -> Vec<Difference> {
        let mut list = schema::differences(&revision.schema, &self.found);
        list.retain(|difference| difference.weight <= Weight::Index);
        list
    }

    fn equals_in_details(&self, revision: &RevisionSchema) -> bool {
        schema::differences(&revision.schema, &self.found).is_empty()
    }

    fn revision(&self, version: Version) -> Option<&RevisionSchema> {
        self.revisions
            .iter()
            .find(|revision| revision.version == version)
    }

    /// The revisions that the schema has everything of, and nothing else in their tables.
    fn fits(&self) -> Vec<&RevisionSchema> {
        self.revisions
            .iter()
            .filter(|revision| self.differences(revision).is_empty())
            .collect()
    }

    /// The revision that fits, or else the one with the fewest differences.
    fn nearest(&self) -> Option<&RevisionSchema> {
        let fewest = || {
            self.revisions
                .iter()
                .min_by_key(|revision| self.differences(revision).len())
        };
        self.fits().last().copied().or_else(fewest)
    }

    fn refusal(&self, message: String, differences: Vec<Problem>) -> Error {
        let nearest = self.nearest().map(|revision| {
            Box::new(Nearest {
                revision: revision.version.to_string(),
                exact: self.differences(revision).is_empty(),
                twin: self.twin(revision).map(|twin| twin.version.to_string()),
                head: version_name(self.files.head()),
            })
        });
        Error::Unplaceable {
            message,
            differences,
            nearest,
        }
    }

    /// The revision before it with the same schema: what is between them changes only rows.
    fn twin(&self, revision: &RevisionSchema) -> Option<&RevisionSchema> {
        self.revisions.iter().rev().find(|other| {
            other.version < revision.version && other.schema.outline() == revision.schema.outline()
        })
    }

    fn nearest_name(&self) -> String {
        version_name(self.nearest().map(|revision| revision.version))
    }

    /// One of the claims, if the schema bears it out.
    fn by_claims(&self, claims: &[Version]) -> Result<Version> {
        let gaps = |version: Version| {
            self.revision(version).map_or_else(
                || vec![unbuildable(version)],
                |revision| {
                    let mut list = self.differences(revision);
                    list.retain(|difference| difference.weight == Weight::Structure);
                    problems(list)
                },
            )
        };
        if let Some(version) = claims.iter().find(|version| gaps(**version).is_empty()) {
            return Ok(*version);
        }
        let said = claims.first().copied();
        let name = version_name(said);
        let message = format!(
            "the database says that it is at {name}, but its schema is not that of {name} (it is nearest to {})",
            self.nearest_name()
        );
        Err(self.refusal(message, said.map(gaps).unwrap_or_default()))
    }

    /// The one revision that the schema is that of.
    fn by_schema(&self) -> Result<Version> {
        let fits = self.fits();
        let Some(best) = fits.last() else {
            let gaps = self
                .nearest()
                .map_or_else(Vec::new, |near| self.differences(near));
            let message = format!(
                "the database has tables but no history, and its schema is that of no revision (it is nearest to {})",
                self.nearest_name()
            );
            return Err(self.refusal(message, problems(gaps)));
        };
        let outline = best.schema.outline();
        let twins: Vec<&RevisionSchema> = fits
            .iter()
            .copied()
            .filter(|other| other.schema.outline() == outline)
            .collect();
        self.the_one_among(&twins)
    }

    /// Revisions that differ in details at most: the only one that the database equals in these, too.
    fn the_one_among(&self, twins: &[&RevisionSchema]) -> Result<Version> {
        let exact: Vec<&&RevisionSchema> = twins
            .iter()
            .filter(|revision| self.equals_in_details(revision))
            .collect();
        match (twins, exact.as_slice()) {
            ([only], _) => Ok(only.version),
            (_, [only]) => Ok(only.version),
            _ => {
                let names: Vec<String> =
                    twins.iter().map(|twin| twin.version.to_string()).collect();
                let message = format!(
                    "the database has tables but no history, and {} have the same schema",
                    names.join(" and ")
                );
                Err(self.refusal(message, Vec::new()))
            }
        }
    }

    fn misfits(&self, version: Version) -> Vec<Problem> {
        let Some(wanted) = self.revision(version) else {
            return vec![unbuildable(version)];
        };
        let gaps = problems(self.differences(wanted));
        if !gaps.is_empty() {
            return gaps;
        }
        // A later revision that only adds tables does not contradict an earlier one; but it is there.
        match self.fits().last() {
            Some(best) if best.schema.outline() != wanted.schema.outline() => vec![Problem::new(
                version.to_string(),
                format!(
                    "the database has everything of {} already, not only of {version}",
                    best.version
                ),
            )],
            _ => Vec::new(),
        }
    }

    /// What stands in the way of "nothing is applied".
    fn leftovers(&self) -> Vec<Problem> {
        self.found
            .tables
            .keys()
            .map(|table| Problem::new(table.clone(), "the table should not be there"))
            .collect()
    }
}
