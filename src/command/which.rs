//! Which backup is meant, from what was typed.

use crate::catalog::{Bounds, LATEST, Wanted};
use crate::clock::Stamp;
use crate::error::{Error, Result};
use crate::job::Context;
use crate::migration::{Migrations, Target, Version, version_name};

/// What is asked for by a name and by bounds; without a name the newest.
pub(super) fn wanted(name: Option<&str>, bounds: Bounds) -> Wanted {
    Wanted {
        name: name.unwrap_or(LATEST).to_owned(),
        bounds,
    }
}

/// `before` is what the configuration has made of it.
pub(super) fn bounds(
    context: &Context<'_>,
    before: Option<Stamp>,
    revision: Option<&str>,
) -> Result<Bounds> {
    Ok(Bounds {
        before,
        revision: revision
            .map(|name| revision_name(context, name))
            .transpose()?,
    })
}

/// As manifests have it. Where everything is lost but the backups, there are no migrations, and only numbers are known.
fn revision_name(context: &Context<'_>, given: &str) -> Result<String> {
    let migrations = Migrations::read(&context.settings.migrations);
    let known = migrations.and_then(|migrations| Target::parse(given).resolve(&migrations, None));
    let number = || given.parse().ok().map(|number| Some(Version(number)));
    match known {
        Ok(version) => Ok(version_name(version)),
        Err(error) => match number() {
            Some(version) => Ok(version_name(version)),
            None if matches!(error, Error::NoSuchRevision { .. }) => Err(error),
            None => Err(Error::Usage {
                message: format!(
                    "'{given}' is no number, and no migrations are there to look it up ({error})"
                ),
                hint: "Name the revision by its number, as `safestep backups list` shows it."
                    .into(),
            }),
        },
    }
}
