//! What killed processes have left half sent. Stores keep it, and take money for it, until somebody throws it away.

use std::time::Duration;

use chrono::DateTime;
use object_store::aws::AmazonS3;
use object_store::multipart::MultipartStore;
use object_store::path::Path as Key;
use object_store::signer::{SignedUrlOptions, Signer};
use quick_xml::Reader;
use quick_xml::events::Event;
use reqwest::Method;

use super::Remote;
use super::failure::Act;
use super::folder;
use super::patience::Patience;
use super::refusal::Refusal;
use super::remove::Removed;
use super::service::Service;
use crate::catalog::label_name;
use crate::clock::Stamp;
use crate::error::{OffsiteCause, Result};
use crate::http;

/// Others than ours may still be under way for so long.
const OLD_SECONDS: u64 = 24 * 60 * 60;
const SIGNED_FOR: Duration = Duration::from_mins(5);
/// A list that is longer is looked at the next time.
const LIST_BYTES: usize = 4 * 1024 * 1024;

/// An upload that was begun.
#[derive(Debug, Default, PartialEq, Eq)]
struct Begun {
    key: String,
    id: String,
    at: String,
}

impl Remote {
    /// Throws away uploads into this folder that nobody will finish: those of archives that are `own` at once, others after a
    /// day; and after a day archives without a label that are not `own`. Says how many. Google and Azure are asked for nothing: there a rule of the bucket does it, or a week.
    ///
    /// # Errors
    /// [`crate::error::Error::Offsite`]
    pub async fn clear_abandoned(&self, own: &[String], patience: &Patience<'_>) -> Result<usize> {
        let unlabelled = self.clear_unlabelled(own, patience).await?;
        let unfinished = self.clear_unfinished(own, patience).await?;
        Ok(unlabelled + unfinished)
    }

    /// Archives whose label never came, or went first and the archive not after it. Those that are here get one when they are
    /// uploaded again.
    async fn clear_unlabelled(&self, own: &[String], patience: &Patience<'_>) -> Result<usize> {
        let act = self.act("look for archives without a label in");
        let mut cleared = 0;
        for (name, modified) in self.unlabelled(&act, patience).await? {
            if own.contains(&name) || !is_old(Some(modified)) {
                continue;
            }
            let key = self.key_of(&name);
            if self.delete(&key, &act, patience).await? == Removed::Gone {
                cleared += 1;
            }
        }
        Ok(cleared)
    }

    async fn clear_unfinished(&self, own: &[String], patience: &Patience<'_>) -> Result<usize> {
        let act = self.act("look for abandoned uploads in");
        if let Some(folder) = self.store.file_of(&self.key) {
            return folder::clear(&folder, own, is_old);
        }
        let (Some(s3), Some(service)) = (&self.store.s3, &self.store.service) else {
            return Ok(0);
        };
        let begun = patience
            .within(&act, self.begun(s3, service, &act))
            .await??;
        let mut cleared = 0;
        for upload in begun {
            let Some(name) = self.name_of(&upload) else {
                continue;
            };
            let is_own = own.contains(&name) || own.iter().any(|own| label_name(own) == name);
            if !is_own && !is_old(began(&upload)) {
                continue;
            }
            let key = self.key_of(&name);
            let aborted = s3.abort_multipart(&key, &upload.id);
            match patience.within(&act, aborted).await? {
                Ok(()) => cleared += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(act.explain(&error)),
            }
        }
        Ok(cleared)
    }

    /// Of one that lies right in this folder.
    fn name_of(&self, upload: &Begun) -> Option<String> {
        let above = format!("{}/", self.key);
        let name = upload.key.strip_prefix(above.as_str())?;
        (!name.contains('/')).then(|| name.to_owned())
    }

    /// `object_store` cannot list them; it can sign a request that does.
    async fn begun(&self, s3: &AmazonS3, service: &Service, act: &Act) -> Result<Vec<Begun>> {
        let prefix = format!("{}/", self.key);
        let options =
            SignedUrlOptions::default().with_query([("uploads", ""), ("prefix", &prefix)]);
        let bucket = Key::default();
        let signed = s3.signed_url_opts(Method::GET, &bucket, SIGNED_FOR, &options);
        let url = signed.await.map_err(|error| act.explain(&error))?;
        let unreachable = |error| act.failed(OffsiteCause::Unreachable, http::cause(&error));
        let mut answer = service.client.get(url).send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&piece);
            if body.len() > LIST_BYTES {
                break;
            }
        }
        if status.is_success() {
            return Ok(read(&body));
        }
        let refusal = Refusal::read(status.as_u16(), &body);
        Err(act.failed(refusal.cause(), refusal.to_string()))
    }
}

/// In seconds since 1970; where that is not known, it may have been just now.
fn began(upload: &Begun) -> Option<u64> {
    let at = DateTime::parse_from_rfc3339(&upload.at).ok()?;
    u64::try_from(at.timestamp()).ok()
}

fn is_old(began: Option<u64>) -> bool {
    let now = Stamp::now().unix_seconds();
    began.is_some_and(|began| now.saturating_sub(began) > OLD_SECONDS)
}

/// `ListMultipartUploadsResult`: each `Upload` has a `Key`, an `UploadId` and the time when it was `Initiated`.
fn read(body: &[u8]) -> Vec<Begun> {
    let text = String::from_utf8_lossy(body);
    let mut reader = Reader::from_str(&text);
    let (mut found, mut current, mut name) = (Vec::new(), None, Vec::new());
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                name = tag.local_name().as_ref().to_vec();
                if name == b"Upload" {
                    current = Some(Begun::default());
                }
            }
            Ok(Event::Text(words)) => {
                let words = words.decode().unwrap_or_default();
                if let Some(upload) = &mut current {
                    put(upload, &name, &words);
                }
            }
            Ok(Event::GeneralRef(reference)) => {
                let letter = reference.resolve_char_ref().ok().flatten();
                let named = reference.decode().ok().and_then(|name| named(&name));
                if let (Some(upload), Some(letter)) = (&mut current, letter.or(named)) {
                    put(upload, &name, letter.encode_utf8(&mut [0; 4]));
                }
            }
            Ok(Event::End(tag)) => {
                if tag.local_name().as_ref() == b"Upload" {
                    found.extend(current.take());
                }
                name.clear();
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

fn put(upload: &mut Begun, name: &[u8], words: &str) {
    let field = match name {
        b"Key" => &mut upload.key,
        b"UploadId" => &mut upload.id,
        b"Initiated" => &mut upload.at,
        _ => return,
    };
    field.push_str(words);
}

fn named(reference: &str) -> Option<char> {
    let known = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
    ];
    let found = known.iter().find(|(name, _)| *name == reference);
    found.map(|(_, letter)| *letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_that_were_begun_are_read_from_what_the_store_lists() {
        let xml = "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Bucket>b</Bucket><KeyMarker/><Upload><Key>a&amp;b/c.tar.gz</Key><UploadId>one</UploadId>\
            <Initiator><ID>x</ID></Initiator><Initiated>2026-11-20T10:00:00.000Z</Initiated></Upload>\
            <Upload><Key>d</Key><UploadId>two</UploadId></Upload></ListMultipartUploadsResult>";
        let found = read(xml.as_bytes());
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].key.as_str(), found[0].id.as_str()),
            ("a&b/c.tar.gz", "one")
        );
        assert_eq!(began(&found[0]), Some(1_795_168_800));
        assert!(
            !is_old(began(&found[1])),
            "without a time, it may be under way"
        );
        assert!(is_old(Some(0)) && !is_old(Some(u64::MAX)));
    }

    #[test]
    fn what_is_no_such_list_has_none() {
        assert_eq!(read(b"<html>nothing"), Vec::new());
        assert_eq!(read(b""), Vec::new());
    }
}
