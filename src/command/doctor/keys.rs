//! Whether the keys are where they should be, and nobody else can read them.

use std::path::Path;

use super::Examination;
use crate::job::Context;
use crate::storage;

const OTHERS: u32 = 0o007;

/// None of it fails an examination: jobs need no identity, and where secrets are mounted for everybody in a container, the
/// container is what keeps others out.
pub(super) fn look(context: &Context<'_>, exam: &mut Examination) {
    let settings = context.settings;
    if settings.encryption.is_some() {
        exam.ok("keys", "new backups are encrypted");
    }
    if !settings.keys.are_given() {
        if settings.encryption.is_some() {
            exam.note(
                "keys",
                "no identity is given: backups cannot be opened here",
            );
        }
        return;
    }
    match settings.keys.require_readable() {
        Ok(()) => exam.ok("keys", "what opens encrypted backups is at hand"),
        Err(error) => exam.note("keys", format!("backups cannot be opened here: {error}")),
    }
    for file in settings.keys.files() {
        look_at_mode(file, exam);
    }
}

fn look_at_mode(file: &Path, exam: &mut Examination) {
    let is_open = storage::ownership(file).is_ok_and(|ownership| ownership.mode & OTHERS != 0);
    if is_open {
        let name = file.display();
        exam.note(
            "keys",
            format!(
                "every user of this machine can read {name}, which is secret: `chmod o= {name}`"
            ),
        );
    }
}
