//! Whether what was unpacked is what a backup promises: before a restore, and when backups are verified.

use std::path::Path;

use super::Context;
use crate::catalog::{Backup, Purpose};
use crate::error::{Error, Problem, Result};
use crate::sqlite::{self, Access, Connection, Layout};

/// A right checksum over the wrong bytes: the archive was not made by this program. Only what a restore once replaced, and
/// kept as it was, may be damaged, as long as its schema can be read: then that is returned.
pub(super) async fn require_sound(
    context: &Context<'_>,
    backup: &Backup,
    unpacked: &Path,
) -> Result<Option<Problem>> {
    let refuse = |reason: String| Error::BackupUnusable {
        backup: backup.path.clone(),
        reason: format!("its database is damaged: {reason}"),
    };
    let mut copy = Connection::open(unpacked, Access::ReadOnly, context.interrupt).await?;
    let schema = copy
        .execute("SELECT count(*) FROM sqlite_schema WHERE sql LIKE ''")
        .await;
    let findings = sqlite::check(&mut copy, context.settings.verify).await;
    copy.close().await?;
    match schema {
        Err(failure) if failure.is_damage() || failure.is_no_database() => {
            return Err(refuse(failure.to_string()));
        }
        other => other.map_err(Error::sqlite("read the schema of the backup"))?,
    };
    let findings = findings?;
    if findings.is_empty() {
        return Ok(None);
    }
    let list = findings.join("; ");
    if backup.manifest.purpose != Purpose::BeforeRestore {
        return Err(refuse(list));
    }
    let message = format!("the database in it was damaged when a restore replaced it: {list}");
    Ok(Some(Problem::new(backup.manifest.id.clone(), message)))
}

/// Refuses what has another number of pages, or pages of another size, than the manifest says.
pub(super) fn require_layout(backup: &Backup, unpacked: &Path) -> Result<()> {
    let manifest = &backup.manifest;
    match Layout::of_file(unpacked) {
        Ok(Some(layout))
            if (layout.page_size, layout.page_count)
                == (manifest.page_size, manifest.page_count) =>
        {
            Ok(())
        }
        Ok(_) | Err(Error::NotADatabase { .. }) => Err(Error::BackupUnusable {
            backup: backup.path.clone(),
            reason: "what it holds is not the database that its manifest describes".into(),
        }),
        Err(other) => Err(other),
    }
}
