//! `backups list`, `show`, `verify`, `prune` and `upload`.

mod chores;
mod local;

use super::{Outcome, bounds, plain, which};
use crate::catalog::Wanted;
use crate::cli::{Backups, Which};
use crate::config::Config;
use crate::error::Result;
use crate::job::{self, Chosen, Context, Pruning, Verification};
use crate::report::{Answer, Told};

pub(super) async fn backups(context: Context<'_>, verb: &Backups, config: &Config) -> Outcome {
    match verb {
        Backups::List { which, .. } => plain(list(context, which, config)),
        Backups::Show { backup, which } => plain(show(context, backup, which, config)),
        Backups::Verify { backup, all, .. } => verify(context, backup, *all).await,
        Backups::Prune { dry_run, .. } => prune(context, *dry_run).await,
    }
}

fn list(context: Context<'_>, which: &Which, config: &Config) -> Result<Answer> {
    local::list(context, &bounds(&context, config, which)?)
}

fn show(context: Context<'_>, name: &str, which: &Which, config: &Config) -> Result<Answer> {
    let bounds = bounds(&context, config, which)?;
    local::show(context, &which::wanted(Some(name), bounds))
}

async fn verify(context: Context<'_>, name: &str, all: bool) -> Outcome {
    let chosen = if all {
        Chosen::All
    } else {
        Chosen::One(Wanted::named(name))
    };
    let mut report = Verification::default();
    let result = job::verify(context, &chosen, &mut report).await;
    let told = Told::Verified {
        database: context.settings.database.display().to_string(),
        all,
    };
    chores::of_verification(&report, told, result)
}

async fn prune(context: Context<'_>, dry_run: bool) -> Outcome {
    let mut report = Pruning::default();
    let result = job::prune(context, dry_run, &mut report).await;
    chores::of_pruning(&report, result)
}
