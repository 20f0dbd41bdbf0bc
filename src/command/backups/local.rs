//! `backups list` and `show`, of the folder.

use serde_json::json;

use crate::catalog::{Backup, Bounds, Catalog, DIGEST, Manifest, Purpose, Wanted};
use crate::error::{Error, Result};
use crate::job::Context;
use crate::report::{Answer, amount, bytes, table};

fn catalog(context: Context<'_>) -> Catalog {
    context.settings.catalog()
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
    let pending = pending(context, &catalog)?;
    if let Some((place, count @ 1..)) = &pending {
        text.push_str(&format!("{count} not in {place} yet; the next job sends them, or safestep backups upload --all\n"));
    }
    let facts = json!({
        "folder": catalog.folder(),
        "offsite": pending.map(|(place, pending)| json!({ "place": place, "pending": pending })),
        "backups": good.iter().map(|backup| facts(&catalog, backup)).collect::<Vec<_>>(),
        "unusable": bad.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    Ok(Answer::new("listed", &facts, text))
}

/// Where copies go, and how many are not there yet, as far as is known here.
pub(in crate::command) fn pending(
    context: Context<'_>,
    catalog: &Catalog,
) -> Result<Option<(String, usize)>> {
    let Some(place) = context.settings.shelf() else {
        return Ok(None);
    };
    let place = place.to_string();
    let count = catalog.not_copied(&place)?.len();
    Ok(Some((place, count)))
}

fn row(catalog: &Catalog, backup: &Backup) -> Vec<String> {
    let manifest = &backup.manifest;
    vec![
        manifest.id.clone(),
        manifest.created_at.clone(),
        manifest.from.clone(),
        purpose(manifest),
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
        "encrypted": backup.encrypted,
        "manifest": backup.manifest,
        "verified": catalog.verified(backup),
    })
}

pub(super) fn show(context: Context<'_>, wanted: &Wanted) -> Result<Answer> {
    let catalog = catalog(context);
    let backup = catalog.select(wanted)?;
    let manifest = &backup.manifest;
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
    if backup.encrypted {
        lines.push(vec!["encrypted".into(), "yes".into()]);
    }
    if let Some(content) = content(&catalog, &backup)? {
        lines.push(vec!["content".into(), content]);
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

/// Rows and tables. Of an encrypted backup only whoever has the key is told.
fn content(catalog: &Catalog, backup: &Backup) -> Result<Option<String>> {
    let rows = match catalog.rows_of(backup) {
        Err(Error::KeyNeeded { reason, .. }) => return Ok(Some(reason)),
        rows => rows?,
    };
    if rows.is_empty() {
        return Ok(None);
    }
    let tables = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let all: i64 = rows.values().sum();
    Ok(Some(format!(
        "{} in {}",
        amount(all, "row"),
        amount(tables, "table")
    )))
}
