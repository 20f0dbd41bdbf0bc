//! `restore`: asks on a terminal, wants `--yes` elsewhere.

use super::Outcome;
use super::ask::ask;
use super::jobs::answer;
use crate::catalog::{Backup, Catalog};
use crate::error::{Error, Result};
use crate::job::{self, Context, Report};
use crate::report::bytes;

pub(super) async fn restore(context: Context<'_>, wanted: &str, yes: bool) -> Outcome {
    let backup = match chosen(&context, wanted, yes) {
        Ok(backup) => backup,
        Err(error) => {
            let report = Report {
                outcome: "failed",
                database: context.settings.database.display().to_string(),
                ..Report::default()
            };
            return answer(&report, Err(error));
        }
    };
    let mut report = Report::default();
    let result = job::restore(context, &backup, &mut report).await;
    answer(&report, result)
}

fn chosen(context: &Context<'_>, wanted: &str, yes: bool) -> Result<Backup> {
    let settings = context.settings;
    let backup = Catalog::new(&settings.backups, &settings.database).select(wanted)?;
    if yes || confirmed(context, &backup)? {
        return Ok(backup);
    }
    Err(Error::Usage {
        message: "the restore was not confirmed".into(),
        hint: "Answer yes, or give --yes.".into(),
    })
}

fn confirmed(context: &Context<'_>, backup: &Backup) -> Result<bool> {
    let manifest = &backup.manifest;
    let question = format!(
        "Replace {} by the backup {} (made of {} at {}, revision {}, {})?\nWhat is there now is backed up first. [yes/no] ",
        context.settings.database.display(),
        manifest.id,
        manifest.source,
        manifest.created_at,
        manifest.from,
        bytes(manifest.size_bytes)
    );
    Ok(ask(&question)?.is_some_and(|answer| matches!(answer.as_str(), "y" | "yes")))
}
