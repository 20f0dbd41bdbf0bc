//! `backups list`, `show`, `verify` and `prune`.

use serde_json::json;

use super::Outcome;
use crate::archive::tar_command;
use crate::catalog::{Backup, Catalog, Purpose};
use crate::error::Result;
use crate::job::{self, Chosen, Context, Judged, Pruning, Verification};
use crate::report::{Answer, Told, amount, bytes, duration, table};

fn catalog(context: Context<'_>) -> Catalog {
    Catalog::new(&context.settings.backups, &context.settings.database)
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
        bytes(backup.archive_bytes),
        last_verified(catalog, backup),
    ]
}

/// `2026-11-22T19:23:50.077Z`, or that it was never verified, or that it is bad.
fn last_verified(catalog: &Catalog, backup: &Backup) -> String {
    match catalog.verified(backup) {
        None => "never".into(),
        Some(verified) if verified.finding.is_none() => verified.at,
        Some(verified) => format!("BAD at {}", verified.at),
    }
}

fn purpose(backup: &Backup) -> String {
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
    if !manifest.rows.is_empty() {
        let tables = i64::try_from(manifest.rows.len()).unwrap_or(i64::MAX);
        lines.push(vec![
            "content".into(),
            format!("{} in {}", amount(rows, "row"), amount(tables, "table")),
        ]);
    }
    lines.push(vec![
        "unpack".into(),
        format!(
            "{} {} {} > copy.db",
            tar_command(&backup.path),
            backup.path.display(),
            manifest.file
        ),
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
        let word = match &checked.finding {
            None => "sound".to_owned(),
            Some(finding) => format!("BAD: {finding}"),
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
    let gone = report.removed.iter().map(|one| {
        let why = one.goes.map_or_else(String::new, |why| why.to_string());
        judged(word, one, &why)
    });
    let kept = report.kept.iter().map(|one| {
        let reasons: Vec<String> = one.stays.iter().map(ToString::to_string).collect();
        judged("stays", one, &reasons.join(", "))
    });
    let rows: Vec<Vec<String>> = gone.chain(kept).collect();
    let mut text = table(&rows);
    for error in &report.unusable {
        text.push_str(&format!("stays     UNUSABLE  {error}\n"));
    }
    if report.removed.is_empty() {
        text.push_str(&format!("Nothing to remove in {}.\n", report.folder));
    }
    if let Some(most) = report.max_total_bytes {
        let taken = bytes(report.folder_bytes);
        let most = bytes(most);
        text.push_str(&format!("The folder takes {taken}; it may take {most}.\n"));
    }
    text
}

fn judged(word: &str, backup: &Judged, why: &str) -> Vec<String> {
    let of = match backup.purpose {
        Purpose::BeforeRestore => "before a restore: ",
        Purpose::Migration | Purpose::Manual => "",
    };
    vec![
        word.to_owned(),
        backup.id.clone(),
        backup.created_at.clone(),
        bytes(backup.archive_bytes),
        format!("{of}{why}"),
    ]
}
