//! `restore`: asks on a terminal, wants `--yes` elsewhere.

use super::jobs::answer;
use super::{Outcome, ask};
use crate::catalog::{Backup, Wanted};
use crate::cli::Global;
use crate::error::Result;
use crate::job::{self, Context, Report};
use crate::report::bytes;

pub(super) async fn restore(context: Context<'_>, wanted: &Wanted, global: &Global) -> Outcome {
    let mut report = Report::default();
    let gathered = job::gather(context, &mut report).await;
    let backup = match gathered.and_then(|()| chosen(&context, wanted, global.yes)) {
        Ok(backup) => backup,
        Err(error) => {
            report.outcome = "failed";
            report.database = context.settings.database.display().to_string();
            return answer(&report, Err(error), global.verbose);
        }
    };
    let result = job::restore(context, &backup, &mut report).await;
    answer(&report, result, global.verbose)
}

fn chosen(context: &Context<'_>, wanted: &Wanted, yes: bool) -> Result<Backup> {
    let settings = context.settings;
    let backup = settings.catalog().select(wanted)?;
    ask::require("restore", yes, || question(context, &backup))?;
    Ok(backup)
}

fn question(context: &Context<'_>, backup: &Backup) -> String {
    let manifest = &backup.manifest;
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
