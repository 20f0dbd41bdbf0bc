//! The bytes of an upload on their way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use object_store::path::Path as Key;
use object_store::retry::{RetryContext, RetryFailure, RetryPolicy};
use object_store::{
    Attribute, Attributes, MultipartUpload, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};

use super::super::archive::{PART_BYTES, Source};
use super::super::folder;
use super::super::patience::with_grace;
use super::super::refusal::Refusal;
use super::{ATTEMPTS, Job, PAUSE, SHA256};
use crate::error::{OffsiteCause, Result};

/// More than so many parts a multipart upload cannot have.
const MOST_PARTS: u64 = 10_000;
/// Each is in memory until it is there.
const PARTS_IN_FLIGHT: usize = 2;

impl Job<'_> {
    pub(super) async fn send_archive(&self) -> Result<()> {
        let mut source = Source::open(self.archive)?;
        if let Some(path) = self.store().file_of(&self.key()) {
            let Self {
                label,
                act,
                patience,
                monitor,
                ..
            } = self;
            return folder::copy(&mut source, label, &path, act, patience, *monitor).await;
        }
        if !self.is_large() {
            let whole = source.next(PART_BYTES)?.unwrap_or_default();
            let more = source.next(1)?;
            source.require(self.label)?;
            drop(more);
            let key = self.key();
            let sent = self.put(&key, whole.into(), self.attributes());
            return self.patience.within(&self.act, sent).await?;
        }
        self.send_parts(&mut source).await
    }

    fn attributes(&self) -> Attributes {
        let sha256 = (
            Attribute::Metadata(SHA256.into()),
            self.label.archive_sha256.clone(),
        );
        Attributes::from_iter([sha256])
    }

    async fn send_parts(&self, source: &mut Source) -> Result<()> {
        let mut options = PutMultipartOptions::from(self.attributes());
        options = options.with_retry_policy(Arc::new(Again));
        let key = self.key();
        let begun = self.store().objects().put_multipart_opts(&key, options);
        let begun = self.patience.within(&self.act, begun).await?;
        let mut upload = begun.map_err(|error| self.act.explain(&error))?;
        let sent = self
            .patience
            .within(&self.act, self.parts(&mut *upload, source));
        let sent = sent.await.and_then(|sent| sent);
        if sent.is_err() {
            with_grace(upload.abort()).await;
        }
        sent
    }

    async fn parts(&self, upload: &mut dyn MultipartUpload, source: &mut Source) -> Result<()> {
        let total = self.label.archive_bytes;
        let part_bytes = part_bytes(total);
        let mut in_flight = FuturesUnordered::new();
        let mut done = 0;
        loop {
            let piece = if in_flight.len() < PARTS_IN_FLIGHT {
                source.next(part_bytes)?
            } else {
                None
            };
            if let Some(piece) = piece {
                let bytes = piece.len() as u64;
                let part = upload.put_part(piece.into());
                in_flight.push(async move { part.await.map(|()| bytes) });
                continue;
            }
            let Some(part) = in_flight.next().await else {
                break;
            };
            done += part.map_err(|error| self.act.explain(&error))?;
            self.monitor.progress(done, total);
        }
        source.require(self.label)?;
        match upload.complete().await {
            Ok(_) => Ok(()),
            Err(error) => self.conditions_or(&error),
        }
    }

    /// One object, in one request.
    pub(super) async fn put(
        &self,
        key: &Key,
        payload: PutPayload,
        attributes: Attributes,
    ) -> Result<()> {
        if let Some(path) = self.store().file_of(key) {
            return folder::write(&Bytes::from(payload), &path);
        }
        let mode = if self.has_conditions() {
            PutMode::Create
        } else {
            PutMode::Overwrite
        };
        let options = PutOptions {
            mode,
            attributes,
            ..PutOptions::default()
        };
        match self.store().objects().put_opts(key, payload, options).await {
            Ok(_) => Ok(()),
            Err(error) => self.conditions_or(&error),
        }
    }

    /// A store that has no conditions is looked at once more, and then asked without.
    fn conditions_or(&self, error: &object_store::Error) -> Result<()> {
        let has_none = Refusal::within(error).is_some_and(Refusal::has_no_conditions);
        let was_asked = has_none && self.store().conditional().swap(false, Ordering::Relaxed);
        if was_asked {
            return Err(self.act.failed(OffsiteCause::Cut, String::new()));
        }
        Err(self.act.explain(error))
    }
}

fn part_bytes(total: u64) -> u64 {
    let whole = 1024 * 1024;
    PART_BYTES.max(total.div_ceil(MOST_PARTS).next_multiple_of(whole))
}

/// A part whose connection was cut is sent again; what the store has answered was asked for again already.
#[derive(Debug)]
struct Again;

impl RetryPolicy for Again {
    fn retry<'s, 'f>(&'s self, context: RetryContext) -> BoxFuture<'f, bool>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let is_cut = matches!(context.failure, RetryFailure::Transport(_));
            let attempt = u32::try_from(context.attempt).unwrap_or(ATTEMPTS);
            if is_cut && attempt < ATTEMPTS {
                tokio::time::sleep(PAUSE * attempt).await;
            }
            is_cut && attempt < ATTEMPTS
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_larger_only_where_there_would_be_too_many() {
        let mib = 1024 * 1024;
        assert_eq!(part_bytes(9 * mib), 8 * mib);
        assert_eq!(part_bytes(80_000 * mib), 8 * mib);
        assert_eq!(part_bytes(80_001 * mib), 9 * mib);
        for total in [80_001 * mib, 1_000_000 * mib, 5_000_000 * mib + 1] {
            assert!(total.div_ceil(part_bytes(total)) <= MOST_PARTS);
        }
    }
}
