//! Revisions as people name them, Alembic's forms included.

use super::{Migrations, Version};
use crate::error::{Error, Result};

/// A revision argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The highest.
    Head,
    /// Before Alembic's first.
    Base,
    /// So many steps from a named revision, or from where the database stands.
    Relative {
        /// The named revision.
        from: Option<String>,
        /// Up where positive.
        steps: i64,
    },
    /// A number, an Alembic id, or a unique prefix of one.
    Named(String),
}

impl Target {
    /// Reads `head`, `base`, `+1`, `-2`, `5`, `005`, an id, a prefix, or `<rev>+1`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let relative = text.rfind(['+', '-']).and_then(|at| {
            let (name, steps) = text.split_at(at);
            Some((name, steps.parse().ok()?))
        });
        match relative {
            Some((name, steps)) => Self::Relative {
                from: (!name.is_empty()).then(|| name.to_owned()),
                steps,
            },
            None => Self::without_steps(text),
        }
    }

    fn without_steps(text: &str) -> Self {
        match text {
            "head" | "heads" => Self::Head,
            "base" => Self::Base,
            _ => Self::Named(text.to_owned()),
        }
    }

    /// The version that it means for a database at `current`; `None` is "nothing applied".
    ///
    /// # Errors
    /// [`Error::NoSuchRevision`], with the candidates where the name is ambiguous.
    pub fn resolve(
        &self,
        migrations: &Migrations,
        current: Option<Version>,
    ) -> Result<Option<Version>> {
        match self {
            Self::Head => Ok(migrations.head()),
            Self::Base => Ok(migrations.base()),
            Self::Named(name) => named(migrations, name),
            Self::Relative { from, steps } => {
                let start = match from {
                    Some(name) => Self::without_steps(name).resolve(migrations, current)?,
                    None => current,
                };
                walk(migrations, start, *steps)
            }
        }
    }
}

fn named(migrations: &Migrations, name: &str) -> Result<Option<Version>> {
    if let Some(exact) = migrations.by_alembic(name) {
        return Ok(Some(exact.version));
    }
    if let Some(version) = name.parse().ok().map(Version)
        && let Some(exact) = migrations.get(version)
    {
        return Ok(Some(exact.version));
    }
    let matching: Vec<_> = migrations
        .all()
        .iter()
        .filter(|migration| !name.is_empty() && migration.label().starts_with(name))
        .collect();
    match matching.as_slice() {
        [only] => Ok(Some(only.version)),
        several => Err(Error::NoSuchRevision {
            given: name.to_owned(),
            candidates: several.iter().map(|migration| migration.label()).collect(),
        }),
    }
}

fn walk(migrations: &Migrations, start: Option<Version>, steps: i64) -> Result<Option<Version>> {
    let mut stations: Vec<Option<Version>> = Vec::new();
    if migrations.base().is_none() {
        stations.push(None);
    }
    stations.extend(migrations.all().iter().map(|m| Some(m.version)));
    let missing = || Error::NoSuchRevision {
        given: format!("{}{steps:+}", super::version_name(start)),
        candidates: Vec::new(),
    };
    // A database with nothing applied stands one step before the first station of a folder with a revision 0.
    let at = match stations.iter().position(|station| *station == start) {
        Some(at) => i64::try_from(at).map_err(|_| missing())?,
        None if start.is_none() => -1,
        None => return Err(missing()),
    };
    let goal = at
        .checked_add(steps)
        .and_then(|goal| usize::try_from(goal).ok());
    goal.and_then(|goal| stations.get(goal).copied())
        .ok_or_else(missing)
}
