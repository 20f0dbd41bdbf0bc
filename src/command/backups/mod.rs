//! `backups list`, `show`, `verify`, `prune` and `upload`.

mod chores;
mod local;
mod remote;

use super::which::{self, Where};
use super::{Outcome, bounds, plain};
use crate::catalog::Wanted;
use crate::cli::{Backups, Which};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::job::{self, Chosen, Context, Pruning, Upload, Verification, open_shelf};
use crate::report::{Answer, Told};

pub(super) async fn backups(context: Context<'_>, verb: &Backups, config: &Config) -> Outcome {
    match verb {
        Backups::List { place, which } => {
            plain(list(context, place.as_deref(), which, config).await)
        }
        Backups::Show { backup, which } => plain(show(context, backup, which, config).await),
        Backups::Verify {
            backup,
            all,
            remote,
        } => verify(context, backup, *all, *remote).await,
        Backups::Prune {
            place,
            dry_run,
            remote,
        } => prune(context, place.as_deref(), *dry_run, *remote).await,
        Backups::Upload { backup, all } => upload(context, backup, *all).await,
    }
}

async fn list(
    context: Context<'_>,
    place: Option<&str>,
    which: &Which,
    config: &Config,
) -> Result<Answer> {
    let bounds = bounds(&context, config, which)?;
    match which::folder(&context, place, which.remote)? {
        None => local::list(context, &bounds),
        Some(at) => {
            let shelf = open_shelf(&context, &at).await?;
            Ok(remote::list(&context, &shelf, &bounds))
        }
    }
}

async fn show(context: Context<'_>, name: &str, which: &Which, config: &Config) -> Result<Answer> {
    let bounds = bounds(&context, config, which)?;
    let Where { at, wanted } = which::backup(&context, Some(name), bounds, which.remote)?;
    match at {
        None => local::show(context, &wanted),
        Some(at) => remote::show(&context, &open_shelf(&context, &at).await?, &wanted),
    }
}

async fn verify(context: Context<'_>, name: &str, all: bool, remote: bool) -> Outcome {
    let mut report = Verification::default();
    let (result, is_local) = match to_verify(&context, name, all, remote) {
        Ok((None, chosen)) => (job::verify(context, &chosen, &mut report).await, true),
        Ok((Some(at), chosen)) => match open_shelf(&context, &at).await {
            Ok(shelf) => {
                let done = job::verify_remote(context, &shelf, &chosen, &mut report).await;
                (done, false)
            }
            Err(error) => return (None, Err(error)),
        },
        Err(error) => return (None, Err(error)),
    };
    let told = Told::Verified {
        database: context.settings.database.display().to_string(),
        // What was last verified is told of the folder here.
        all: all && is_local,
    };
    chores::of_verification(&report, told, result)
}

fn to_verify(
    context: &Context<'_>,
    name: &str,
    all: bool,
    remote: bool,
) -> Result<(Option<job::At>, Chosen)> {
    if !all {
        let bounds = crate::catalog::Bounds::default();
        let Where { at, wanted } = which::backup(context, Some(name), bounds, remote)?;
        return Ok((at, Chosen::One(wanted)));
    }
    let place = (name != crate::catalog::LATEST).then_some(name);
    Ok((which::folder(context, place, remote)?, Chosen::All))
}

async fn prune(context: Context<'_>, place: Option<&str>, dry_run: bool, remote: bool) -> Outcome {
    let mut report = Pruning::default();
    let result = match which::folder(&context, place, remote) {
        Ok(None) => job::prune(context, dry_run, &mut report).await,
        Ok(Some(at)) => match open_shelf(&context, &at).await {
            Ok(shelf) => job::prune_remote(context, &shelf, dry_run, &mut report).await,
            Err(error) => return (None, Err(error)),
        },
        Err(error) => return (None, Err(error)),
    };
    chores::of_pruning(&report, result)
}

async fn upload(context: Context<'_>, name: &str, all: bool) -> Outcome {
    if all && name != crate::catalog::LATEST {
        let error = Error::Usage {
            message: "--all uploads all that are not there yet, and a backup is named as well"
                .into(),
            hint: "Give one of them.".into(),
        };
        return (None, Err(error));
    }
    let chosen = if all {
        Chosen::All
    } else {
        Chosen::One(Wanted::named(name))
    };
    let mut report = Upload::default();
    let result = job::upload(context, &chosen, &mut report).await;
    chores::of_upload(&report, result)
}
