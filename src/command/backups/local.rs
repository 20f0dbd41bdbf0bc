//! `backups list` and `show`, of the folder.

use serde_json::json;

use crate::archive::tar_command;
use crate::catalog::{Backup, Bounds, Catalog, Manifest, Purpose, Wanted};
use crate::error::Result;
use crate::job::Context;
use crate::report::{Answer, amount, bytes, table};

fn catalog(context: Context<'_>) -> Catalog {
    Catalog::new(&context.settings.backups, &context.settings.database)
}

pub(super) fn list(context: Context<'_>, bounds: &Bounds) -> Result<Answer> {
    let catalog = catalog(context);
    let (mut good, bad) = catalog.backups()?;
    good.retain(|backup| bounds.hold(&backup.manifest));
    let mut rows = vec![
        [
            "ID", "CREATED", "REVISION", "FOR", "SIZE", "ARCHIVE", "VERIFIED",
        ]
        .map(String::from)
        .to_vec(),
    ];
    rows.extend(good.iter().map(|backup| row(&catalog, backup)));
    let mut text = if good.is_empty() {
        let folder = catalog.folder().display();
        format!("There are no backups{} in {folder}.\n", bounds.words())
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
        purpose(manifest),
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

pub(super) fn purpose(manifest: &Manifest) -> String {
    match manifest.purpose {
        Purpose::Migration => format!("migration to {}", manifest.to),
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

pub(super) fn show(context: Context<'_>, wanted: &Wanted) -> Result<Answer> {
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
        vec!["made for".into(), purpose(manifest)],
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
