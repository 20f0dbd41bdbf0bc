//! Where copies of the backups go, whether that can be reached, and how many are not there yet.

use super::Examination;
use crate::job::{self, Context};

/// Where a copy is required, a store that cannot be reached keeps migrations from beginning; else the jobs make up for it.
pub(super) async fn look(context: &Context<'_>, exam: &mut Examination) {
    let settings = context.settings;
    let (Some(offsite), Some(place)) = (&settings.offsite, settings.shelf()) else {
        return;
    };
    let place = place.to_string();
    let mut lost = 0;
    match job::reach(context).await {
        Ok(count) => {
            lost = count;
            exam.ok("off site", format!("{place} can be listed"));
        }
        Err(error) if offsite.required => {
            exam.take::<()>("off site", Err(error));
        }
        Err(error) => exam.note("off site", format!("{error}. {}", error.hint())),
    }
    if lost > 0 {
        exam.note(
            "off site",
            format!("{lost} of the backups were sent and are not there any more; the next backup sends them again, or `safestep backups upload --all`"),
        );
    }
    match exam.take("off site", settings.catalog().not_copied(&place)) {
        Some(_) if lost > 0 => {}
        Some(left) if left.is_empty() => exam.ok("off site", "all backups are there"),
        Some(left) => exam.note(
            "off site",
            format!(
                "{} of the backups are not there yet; the next job sends them, or `safestep backups upload --all`",
                left.len()
            ),
        ),
        None => {}
    }
}
