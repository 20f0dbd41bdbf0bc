//! `backups list` and `show`, of what lies off site.

use serde_json::{Value, json};

use super::local::purpose;
use crate::catalog::{Bounds, Label, Wanted};
use crate::error::Result;
use crate::job::{Context, Shelf};
use crate::report::{Answer, bytes, table};
use crate::storage;

/// The names of the archives that are in the folder here.
fn here(context: &Context<'_>) -> Vec<String> {
    let backups = context.settings.catalog().backups();
    let (backups, _) = backups.unwrap_or_default();
    backups
        .iter()
        .map(|backup| storage::name_of(&backup.path))
        .collect()
}

pub(super) fn list(context: &Context<'_>, shelf: &Shelf, bounds: &Bounds) -> Answer {
    let here = here(context);
    let is_here = |label: &Label| here.contains(&label.archive);
    let labels = || {
        let all = shelf.listing.labels.iter();
        all.filter(|label| bounds.hold(&label.manifest))
    };
    let mut rows = vec![
        [
            "ID", "CREATED", "REVISION", "FOR", "SIZE", "ARCHIVE", "HERE",
        ]
        .map(String::from)
        .to_vec(),
    ];
    rows.extend(labels().map(|label| row(label, is_here(label))));
    let mut text = if rows.len() == 1 {
        format!(
            "There are no backups{} in {}.\n",
            bounds.words(),
            shelf.place()
        ) + &neighbours(shelf)
    } else {
        table(&rows)
    };
    for error in shelf.unusable() {
        text.push_str(&format!("UNUSABLE  {error}\n"));
    }
    for archive in &shelf.listing.unlabelled {
        text.push_str(&format!(
            "NO LABEL  {archive}: still on its way there, or cut short\n"
        ));
    }
    let facts = json!({
        "folder": shelf.place(),
        "backups": labels().map(|label| facts(shelf, label, is_here(label))).collect::<Vec<_>>(),
        "unusable": shelf.unusable(),
        "unlabelled": shelf.listing.unlabelled,
    });
    Answer::new("listed", &facts, text)
}

fn neighbours(shelf: &Shelf) -> String {
    if shelf.neighbours.is_empty() {
        return String::new();
    }
    let names = shelf.neighbours.join(", ");
    format!("There are folders of other names beside it: {names}\n")
}

fn row(label: &Label, is_here: bool) -> Vec<String> {
    let manifest = &label.manifest;
    let age = if label.is_encrypted() { " age" } else { "" };
    vec![
        manifest.id.clone(),
        manifest.created_at.clone(),
        manifest.from.clone(),
        purpose(manifest),
        bytes(manifest.size_bytes),
        format!("{}{age}", bytes(label.archive_bytes)),
        if is_here { "yes" } else { "no" }.into(),
    ]
}

fn url(shelf: &Shelf, label: &Label) -> String {
    format!("{}/{}", shelf.place(), label.archive)
}

fn facts(shelf: &Shelf, label: &Label, is_here: bool) -> Value {
    json!({
        "url": url(shelf, label),
        "archive_bytes": label.archive_bytes,
        "archive_sha256": label.archive_sha256,
        "encrypted": label.is_encrypted(),
        "here": is_here,
        "manifest": label.manifest,
    })
}

pub(super) fn show(context: &Context<'_>, shelf: &Shelf, wanted: &Wanted) -> Result<Answer> {
    let label = shelf.choose(context, wanted)?;
    let manifest = &label.manifest;
    let is_here = here(context).contains(&label.archive);
    let encrypted = if label.is_encrypted() {
        "yes, by age"
    } else {
        "no"
    };
    let url = url(shelf, label);
    let pair = |name: &str, words: String| vec![name.to_owned(), words];
    let lines = [
        pair("backup", manifest.id.clone()),
        pair("archive", format!("{url} ({})", bytes(label.archive_bytes))),
        pair(
            "created",
            format!("{} by {}", manifest.created_at, manifest.tool),
        ),
        pair("of", manifest.source.clone()),
        pair("revision", manifest.from.clone()),
        pair("made for", purpose(manifest)),
        pair("database", bytes(manifest.size_bytes)),
        pair("sha256", format!("{} (of the database)", manifest.sha256)),
        pair("", format!("{} (of the archive)", label.archive_sha256)),
        pair("encrypted", encrypted.into()),
        pair("here", if is_here { "yes" } else { "no" }.into()),
        pair(
            "put back",
            format!("safestep restore {url}{}", context.settings.flags()),
        ),
    ];
    let facts = json!({ "backup": facts(shelf, label, is_here) });
    Ok(Answer::new("shown", &facts, table(&lines)))
}
