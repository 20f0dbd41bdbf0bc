//! Which backup is meant, from what was typed.

use crate::catalog::{Bounds, LATEST, Wanted};
use crate::clock::Stamp;
use crate::error::{Error, Result};
use crate::job::{At, Context};
use crate::migration::{Migrations, Target, Version, version_name};
use crate::offsite::Place;

/// A backup, and where it lies.
pub(super) struct Where {
    /// Off site; `None` for here.
    pub(super) at: Option<At>,
    pub(super) wanted: Wanted,
}

/// What is asked for by a name, by bounds and by where; without a name the newest. Of a URL, the last part is the name.
pub(super) fn backup(
    context: &Context<'_>,
    name: Option<&str>,
    bounds: Bounds,
    remote: bool,
) -> Result<Where> {
    let name = name.unwrap_or(LATEST);
    let wanted = |name: String| Wanted { name, bounds };
    if !Place::is_url(name) {
        return Ok(Where {
            at: remote.then_some(At::Configured),
            wanted: wanted(name.to_owned()),
        });
    }
    let Some((folder, last)) = parse(context, name)?.split_last() else {
        return Err(Error::Usage {
            message: "the URL names no backup".into(),
            hint: "Its last part is 'latest', an id, or the name of an archive, as in s3://bucket/prefix/fastflow/latest.".into(),
        });
    };
    Ok(Where {
        at: Some(At::Url(Box::new(folder))),
        wanted: wanted(last),
    })
}

/// The folder off site that is meant; `None` for the one here.
pub(super) fn folder(
    context: &Context<'_>,
    place: Option<&str>,
    remote: bool,
) -> Result<Option<At>> {
    match place {
        None => Ok(remote.then_some(At::Configured)),
        Some(url) => Ok(Some(At::Url(Box::new(parse(context, url)?)))),
    }
}

/// The URL is not repeated: it may hold a password.
fn parse(context: &Context<'_>, url: &str) -> Result<Place> {
    Place::parse(url, &context.settings.access).map_err(|message| Error::Usage {
        message: format!("the URL: {message}"),
        hint: "Write s3://bucket/prefix/fastflow, gs://…, az://… or file:///folder; `safestep backups list --remote` shows what is configured.".into(),
    })
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
