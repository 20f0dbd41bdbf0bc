//! `repair`: shows what was changed in applied files; asks on a terminal, wants `--yes` elsewhere.

use super::jobs::answer;
use super::{Outcome, ask};
use crate::cli::Global;
use crate::error::{Problem, Result};
use crate::job::{self, Context, Report};

pub(super) async fn repair(context: Context<'_>, global: &Global) -> Outcome {
    let mut report = Report {
        outcome: "failed",
        database: context.settings.database.display().to_string(),
        ..Report::default()
    };
    match job::changed_files(&context).await {
        Ok(changed) => report.changed = changed,
        Err(error) => return answer(&report, Err(error), global.verbose),
    }
    let changed = report.changed.clone();
    if let Err(error) = confirm(&context, &changed, global.yes) {
        return answer(&report, Err(error), global.verbose);
    }
    let result = job::repair(context, &changed, &mut report).await;
    answer(&report, result, global.verbose)
}

fn confirm(context: &Context<'_>, changed: &[Problem], yes: bool) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    ask::require("repair", yes, || question(context, changed))
}

fn question(context: &Context<'_>, changed: &[Problem]) -> String {
    let list: String = changed.iter().map(|line| format!("{line}\n")).collect();
    format!(
        "{list}Record these texts in {} as the ones that were applied?\nThe schema and the rows stay as they are; a backup is made first.",
        context.settings.database.display()
    )
}
