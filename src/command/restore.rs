//! `restore`: asks on a terminal, wants `--yes` elsewhere.

use super::jobs::answer;
use super::which::{self, Where};
use super::{Outcome, ask};
use crate::catalog::{Bounds, Manifest, Wanted};
use crate::cli::Global;
use crate::error::Result;
use crate::job::{self, At, Context, Fetching, Report};
use crate::report::bytes;

pub(super) async fn restore(
    context: Context<'_>,
    name: Option<&str>,
    bounds: Bounds,
    remote: bool,
    global: &Global,
) -> Outcome {
    let mut report = Report::default();
    let done = match which::backup(&context, name, bounds, remote) {
        Ok(Where { at: None, wanted }) => here(context, &wanted, global, &mut report).await,
        Ok(Where {
            at: Some(at),
            wanted,
        }) => from_off_site(context, &at, &wanted, global, &mut report).await,
        Err(error) => Err(error),
    };
    if done.is_err() && report.outcome.is_empty() {
        report.outcome = "failed";
        report.database = context.settings.database.display().to_string();
    }
    answer(&report, done, global.verbose)
}

async fn here(
    context: Context<'_>,
    wanted: &Wanted,
    global: &Global,
    report: &mut Report,
) -> Result<()> {
    job::gather(context, report).await?;
    let backup = context.settings.catalog().select(wanted)?;
    ask::require("restore", global.yes, || {
        question(&context, &backup.manifest)
    })?;
    job::restore(context, &backup, report).await
}

/// What is fetched goes away again, whatever comes of it.
async fn from_off_site(
    context: Context<'_>,
    at: &At,
    wanted: &Wanted,
    global: &Global,
    report: &mut Report,
) -> Result<()> {
    let shelf = job::open_shelf(&context, at).await?;
    let label = shelf.choose(&context, wanted)?;
    ask::require("restore", global.yes, || {
        question(&context, &label.manifest)
    })?;
    let job = report.job.clone();
    let fetching = Fetching {
        shelf: &shelf,
        label,
        job: &job,
    };
    let fetched = job::fetch(&context, fetching).await?;
    let restored = job::restore(context, &fetched.backup, report).await;
    let discarded = fetched.discard();
    restored.and(discarded)
}

fn question(context: &Context<'_>, manifest: &Manifest) -> String {
    format!(
        "Replace {} by the backup {} (made of {} at {}, revision {}, {})?\nWhat is there now is backed up first.",
        context.settings.database.display(),
        manifest.id,
        manifest.source,
        manifest.created_at,
        manifest.from,
        bytes(manifest.size_bytes)
    )
}
