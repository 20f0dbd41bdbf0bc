//! The content digest: equal for two databases that hold the same.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::{FilePages, Layout, LivePages, Pages, VOLATILE, big_endian, hex, live_layout};
use crate::error::Result;
use crate::sqlite::Connection;
use crate::storage;

/// SHA-256 over what a database holds, so that two files of equal content have equal digests.
///
/// Left out: the counters and version stamps that SQLite changes on its own accord (file change counter, schema
/// cookie, "version valid for"), the journal mode, and free pages without content. An empty file equals a
/// database in which nothing was ever created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest([u8; 32]);

impl ContentDigest {
    /// In hexadecimal.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

/// The content digest of a database file that nobody writes.
pub fn digest_file(path: &Path) -> Result<ContentDigest> {
    let Some(layout) = Layout::of_file(path)? else {
        return Ok(blank());
    };
    let file = storage::open(path)?;
    digest(layout, &mut FilePages { file, path })
}

/// The content digest of a live database, as the connection's transaction sees it.
/// Needs [`available`] and an open transaction, or else a commit in between would give a mixture.
pub async fn digest_live(connection: &mut Connection) -> Result<ContentDigest> {
    let Some(layout) = live_layout(connection).await? else {
        return Ok(blank());
    };
    connection
        .raw(|raw| digest(layout, &mut LivePages::new(raw)?))
        .await?
}

fn blank() -> ContentDigest {
    ContentDigest(Sha256::digest(b"blank").into())
}

pub(super) fn digest(layout: Layout, pages: &mut dyn Pages) -> Result<ContentDigest> {
    let mut page = vec![0; layout.page_size as usize];
    let free = free_pages(layout, pages, &mut page)?;
    let mut hash = Sha256::new();
    hash.update(layout.page_size.to_be_bytes());
    hash.update(layout.page_count.to_be_bytes());
    for number in 1..=layout.page_count {
        if number == layout.lock_page() || free.holds(number) {
            continue;
        }
        pages.read(number, &mut page)?;
        if number == 1 {
            neutralise(&mut page);
            if layout.page_count == 1 && is_blank(&page) {
                return Ok(blank());
            }
        }
        hash.update(&page[..]);
    }
    Ok(ContentDigest(hash.finalize().into()))
}

/// Zeroes what SQLite changes in page 1 although the content stays.
fn neutralise(first: &mut [u8]) {
    for range in VOLATILE {
        first[range].fill(0);
    }
}

/// A first page with an empty schema, no `user_version` and no `application_id`.
fn is_blank(first: &[u8]) -> bool {
    let is_zero = |range: std::ops::Range<usize>| first[range].iter().all(|byte| *byte == 0);
    first[100] == 13 && is_zero(103..105) && is_zero(60..64) && is_zero(68..72)
}

/// The leaves of the free list: pages that belong to nobody.
struct FreePages(Vec<u64>);

impl FreePages {
    fn none(page_count: u32) -> Self {
        Self(vec![0; page_count as usize / 64 + 1])
    }

    fn add(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn holds(&self, number: u32) -> bool {
        self.0
            .get(number as usize / 64)
            .is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

fn free_pages(layout: Layout, pages: &mut dyn Pages, page: &mut [u8]) -> Result<FreePages> {
    let mut free = FreePages::none(layout.page_count);
    pages.read(1, page)?;
    let mut trunk = big_endian(page, 32);
    let mut seen = 0;
    while trunk != 0 && trunk <= layout.page_count && seen < layout.page_count {
        pages.read(trunk, page)?;
        let leaves = (big_endian(page, 4) as usize).min(page.len() / 4 - 2);
        for leaf in 0..leaves {
            free.add(big_endian(page, 8 + 4 * leaf));
        }
        trunk = big_endian(page, 0);
        seen += 1;
    }
    Ok(free)
}
