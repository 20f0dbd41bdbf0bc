//! `backups list`, `show`, `verify` and `prune`.

use serde_json::json;

use super::Outcome;
use crate::catalog::{Backup, Catalog, DIGEST};
use crate::error::Result;
use crate::job::{self, Chosen, Context, Judged, Pruning, Verification};
use crate::report::{Answer, Told, amount, bytes, duration, table};

fn catalog(context: Context<'_>) -> Catalog {
    context.settings.catalog()
}

pub(super) fn list(context: Context<'_>) -> Result<Answer> {
    let catalog = catalog(context);
    let (good, bad) = catalog.backups()?;
    let mut rows = vec![
        [
            "ID", "CREATED", "REVISION", "FOR", "SIZE", "ARCHIVE", "VERIFIED",
        ]
        .map(String::from)
        .to_vec(),
    ];
    rows.extend(good.iter().map(|backup| row(&catalog, backup)));
    let mut text = if good.is_empty() {
        format!("There are no backups in {}.\n", catalog.folder().display())
    } else {
        table(&rows)
    };
    for error in &bad {
        text.push_str(&format!("UNUSABLE  {error}\n"));
    }
    let facts = json!({
        "folder": catalog.folder(),
        "backups": good.iter().map(|backup| facts(&catalog, backup)).collect::<Vec<_>>(),
        "unusable": bad.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    Ok(Answer::new("listed", &facts, text))
}

fn row(catalog: &Catalog, backup: &Backup) -> Vec<String> {
    let manifest = &backup.manifest;
    vec![
        manifest.id.clone(),
        manifest.created_at.clone(),
        manifest.from.clone(),
        purpose(backup),
        bytes(manifest.size_bytes),
        archive_size(backup),
        last_verified(catalog, backup),
    ]
}

fn archive_size(backup: &Backup) -> String {
    let size = bytes(backup.archive_bytes);
    if backup.encrypted {
        format!("{size} age")
    } else {
        size
    }
}

/// `2026-11-22T19:23:50.077Z`, or that it was never verified, or that it is bad.
fn last_verified(catalog: &Catalog, backup: &Backup) -> String {
    match catalog.verified(backup) {
        None => "never".into(),
        Some(verified) if verified.finding.is_some() => format!("BAD at {}", verified.at),
        Some(verified) if verified.check == DIGEST => format!("{} (digest)", verified.at),
        Some(verified) => verified.at,
    }
}

fn purpose(backup: &Backup) -> String {
    use crate::catalog::Purpose;
    match backup.manifest.purpose {
        Purpose::Migration => format!("migration to {}", backup.manifest.to),
        Purpose::Manual => "by hand".into(),
        Purpose::BeforeRestore => "before a restore".into(),
    }
}

fn facts(catalog: &Catalog, backup: &Backup) -> serde_json::Value {
    json!({
        "path": backup.path,
        "archive_bytes": backup.archive_bytes,
        "encrypted": backup.encrypted,
        "manifest": backup.manifest,
        "verified": catalog.verified(backup),
    })
}

pub(super) fn show(context: Context<'_>, wanted: &str) -> Result<Answer> {
    let catalog = catalog(context);
    let backup = catalog.select(wanted)?;
    let manifest = &backup.manifest;
    let rows: i64 = manifest.rows.values().sum();
    let mut lines = vec![
        vec!["backup".into(), manifest.id.clone()],
        vec![
            "archive".into(),
            format!(
                "{} ({})",
                backup.path.display(),
                bytes(backup.archive_bytes)
            ),
        ],
        vec![
            "created".into(),
            format!("{} by {}", manifest.created_at, manifest.tool),
        ],
        vec!["of".into(), manifest.source.clone()],
        vec!["revision".into(), manifest.from.clone()],
        vec!["made for".into(), purpose(&backup)],
        vec![
            "database".into(),
            format!(
                "{}, {} pages of {} bytes",
                bytes(manifest.size_bytes),
                manifest.page_count,
                manifest.page_size
            ),
        ],
        vec!["sha256".into(), manifest.sha256.clone()],
        vec!["verified".into(), last_verified(&catalog, &backup)],
    ];
    if backup.encrypted {
        lines.push(vec!["encrypted".into(), "yes".into()]);
    }
    if !manifest.rows.is_empty() {
        let tables = i64::try_from(manifest.rows.len()).unwrap_or(i64::MAX);
        lines.push(vec![
            "content".into(),
            format!("{} in {}", amount(rows, "row"), amount(tables, "table")),
        ]);
    }
    lines.push(vec![
        "unpack".into(),
        format!("{} > copy.db", backup.print_command()),
    ]);
    lines.push(vec![
        "put back".into(),
        format!(
            "safestep restore {}{}",
            manifest.id,
            context.settings.flags()
        ),
    ]);
    Ok(Answer::new(
        "shown",
        &json!({ "backup": facts(&catalog, &backup) }),
        table(&lines),
    ))
}

pub(super) async fn verify(context: Context<'_>, wanted: &str, all: bool) -> Outcome {
    let chosen = if all {
        Chosen::All
    } else {
        Chosen::One(wanted.to_owned())
    };
    let mut report = Verification::default();
    let result = job::verify(context, &chosen, &mut report).await;
    let text = verified(&report);
    let told = Told::Verified {
        database: context.settings.database.display().to_string(),
        all: matches!(chosen, Chosen::All),
    };
    let answer = Answer {
        told: Some(told),
        ..Answer::new(report.outcome, &report, text)
    };
    (Some(answer), result)
}

fn verified(report: &Verification) -> String {
    if report.checked.is_empty() && report.outcome == "verified" {
        return format!("There are no backups in {}.\n", report.folder);
    }
    let mut text = String::new();
    for checked in &report.checked {
        let name = checked.id.as_deref().unwrap_or(&checked.path);
        let word = match (&checked.finding, checked.check) {
            (Some(finding), _) => format!("BAD: {finding}"),
            (None, Some(DIGEST)) => "unchanged since it was made, not opened".to_owned(),
            (None, _) => "sound".to_owned(),
        };
        text.push_str(&format!("{name}  {word} ({})\n", duration(checked.ms)));
    }
    for warning in &report.warnings {
        text.push_str(&format!("note      {warning}\n"));
    }
    text
}

pub(super) async fn prune(context: Context<'_>, dry_run: bool) -> Outcome {
    let mut report = Pruning::default();
    let result = job::prune(context, dry_run, &mut report).await;
    let text = if result.is_ok() {
        pruned(&report)
    } else {
        String::new()
    };
    (Some(Answer::new(report.outcome, &report, text)), result)
}

fn pruned(report: &Pruning) -> String {
    let word = if report.dry_run {
        "would go"
    } else {
        "removed"
    };
    let line = |judged: &Judged, words: String| {
        vec![
            words,
            judged.id.clone(),
            judged.created_at.clone(),
            bytes(judged.archive_bytes),
        ]
    };
    let gone = report.removed.iter().map(|one| line(one, word.into()));
    let kept = report.kept.iter().map(|one| {
        let why = one.stays.map_or_else(String::new, |why| why.to_string());
        line(one, format!("stays: {why}"))
    });
    let rows: Vec<Vec<String>> = gone.chain(kept).collect();
    let mut text = table(&rows);
    for error in &report.unusable {
        text.push_str(&format!("stays: UNUSABLE  {error}\n"));
    }
    if report.removed.is_empty() {
        text.push_str(&format!("Nothing to remove in {}.\n", report.folder));
    }
    text
}
