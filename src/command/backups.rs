//! `backups list` and `backups show`.

use serde_json::json;

use crate::archive::tar_command;
use crate::catalog::{Backup, Catalog};
use crate::error::Result;
use crate::job::Context;
use crate::report::{Answer, amount, bytes, table};

fn catalog(context: Context<'_>) -> Catalog {
    Catalog::new(&context.settings.backups, &context.settings.database)
}

pub(super) fn list(context: Context<'_>) -> Result<Answer> {
    let catalog = catalog(context);
    let (good, bad) = catalog.backups()?;
    let mut rows = vec![
        ["ID", "CREATED", "REVISION", "FOR", "SIZE", "ARCHIVE"]
            .map(String::from)
            .to_vec(),
    ];
    rows.extend(good.iter().map(row));
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
        "backups": good.iter().map(facts).collect::<Vec<_>>(),
        "unusable": bad.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    Ok(Answer::new("listed", &facts, text))
}

fn row(backup: &Backup) -> Vec<String> {
    let manifest = &backup.manifest;
    vec![
        manifest.id.clone(),
        manifest.created_at.clone(),
        manifest.from.clone(),
        purpose(backup),
        bytes(manifest.size_bytes),
        bytes(backup.archive_bytes),
    ]
}

fn purpose(backup: &Backup) -> String {
    use crate::catalog::Purpose;
    match backup.manifest.purpose {
        Purpose::Migration => format!("migration to {}", backup.manifest.to),
        Purpose::Manual => "by hand".into(),
        Purpose::BeforeRestore => "before a restore".into(),
    }
}

fn facts(backup: &Backup) -> serde_json::Value {
    json!({
        "path": backup.path,
        "archive_bytes": backup.archive_bytes,
        "manifest": backup.manifest,
    })
}

pub(super) fn show(context: Context<'_>, wanted: &str) -> Result<Answer> {
    let backup = catalog(context).select(wanted)?;
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
        format!("safestep restore {}", manifest.id),
    ]);
    Ok(Answer::new(
        "shown",
        &json!({ "backup": facts(&backup) }),
        table(&lines),
    ))
}
