//! Copies that are noted here and no longer lie off site: somebody emptied the bucket, a rule of the store was too eager. The
//! notes are forgotten, so that the copies are made anew; what the rules for off site have removed is not missed.

use std::collections::HashSet;
use std::path::Path;

use super::super::Context;
use super::prune;
use crate::catalog::{Backup, Catalog};
use crate::clock::Stamp;
use crate::error::Result;
use crate::offsite::Listing;
use crate::retention;
use crate::storage::name_of;

/// What ought to be there and is not, though it was sent once.
pub(super) fn find(
    context: &Context<'_>,
    catalog: &Catalog,
    listing: &Listing,
) -> Result<Vec<Backup>> {
    let Some(place) = context.settings.shelf() else {
        return Ok(Vec::new());
    };
    let place = place.to_string();
    let (mut noted, _) = catalog.backups()?;
    noted.retain(|backup| {
        Path::new(&backup.manifest.source) == context.database()
            && catalog.copied(backup, &place).is_some()
            && is_good(catalog, backup)
    });
    let there: HashSet<&String> = listing.labels.iter().map(|label| &label.archive).collect();
    noted.retain(|backup| !there.contains(&name_of(&backup.path)));
    let kept = kept(context, catalog, listing, &noted)?;
    let mut kept = kept.into_iter();
    noted.retain(|_| kept.next().unwrap_or_default());
    Ok(noted)
}

/// Finds them, and forgets that they were sent. Whether there are any.
pub(super) fn forget(context: &Context<'_>, catalog: &Catalog, listing: &Listing) -> Result<bool> {
    let lost = find(context, catalog, listing)?;
    for backup in &lost {
        catalog.forget_copied(backup)?;
    }
    Ok(!lost.is_empty())
}

/// A bad one cannot be sent again.
fn is_good(catalog: &Catalog, backup: &Backup) -> bool {
    let verified = catalog.verified(backup);
    verified.is_none_or(|verified| verified.finding.is_none())
}

/// Which of the missing ones the rules for off site would keep there, beside what is there.
fn kept(
    context: &Context<'_>,
    catalog: &Catalog,
    listing: &Listing,
    missing: &[Backup],
) -> Result<Vec<bool>> {
    let mut candidates = prune::candidates(context, catalog, listing)?;
    let there = candidates.len();
    candidates.extend(missing.iter().map(|backup| {
        let name = name_of(&backup.path);
        let bytes = backup.archive_bytes;
        backup.manifest.candidate(name, bytes, true)
    }));
    let policy = &context.settings.offsite_retention;
    let verdicts = retention::judge(policy, &candidates, Stamp::now(), 0);
    let missing = verdicts.iter().skip(there);
    Ok(missing.map(retention::Verdict::stays).collect())
}
