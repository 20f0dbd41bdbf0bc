//! Where the copies go: a URL, and what has to be known besides to get there.

use std::fmt;

use super::access::Access;

/// The kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    S3,
    Google,
    Azure,
    File,
}

const SCHEMES: [(&str, Scheme); 4] = [
    ("s3", Scheme::S3),
    ("gs", Scheme::Google),
    ("az", Scheme::Azure),
    ("file", Scheme::File),
];

/// A destination. What it shows has no secret in it.
#[derive(Clone)]
pub struct Place {
    pub(super) scheme: Scheme,
    /// Bucket or container; of a folder, nothing.
    pub(super) bucket: String,
    /// Without slashes at its ends.
    pub(super) prefix: String,
    pub(super) access: Access,
}

impl Place {
    /// Whether a text is meant as a URL of a store, and not as a path.
    #[must_use]
    pub fn is_url(text: &str) -> bool {
        text.split_once("://")
            .is_some_and(|(scheme, _)| scheme_of(scheme).is_some())
    }

    /// Reads `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///folder`; `s3://` alone is the bucket
    /// and prefix that the environment names as Fast-Flow's.
    ///
    /// # Errors
    /// A sentence that does not repeat the text, which may hold a password.
    pub fn parse(text: &str, access: &Access) -> Result<Self, String> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or("it is no URL of a store")?;
        let scheme = scheme_of(scheme)
            .ok_or("it is no URL that begins with s3://, gs://, az:// or file://")?;
        if rest.contains(['?', '#']) {
            return Err("a URL of a store has no query and no fragment".into());
        }
        let (bucket, path) = match rest.split_once('/') {
            Some((bucket, path)) => (bucket, path),
            None => (rest, ""),
        };
        if bucket.contains(['@', ':']) {
            return Err("a URL of a store has no user, password or port: credentials come from the environment or a file, and \
                 a server of one's own is the endpoint"
                .into());
        }
        if path.split('/').any(|part| part == "." || part == "..") {
            return Err("'.' and '..' are no names in a store".into());
        }
        let mut place = Self {
            scheme,
            bucket: bucket.into(),
            prefix: tidy(path),
            access: access.clone(),
        };
        if scheme == Scheme::S3 && bucket.is_empty() && place.prefix.is_empty() {
            place.bucket = fast_flow(access, "S3_BUCKET")
                .ok_or("s3:// alone means the bucket that S3_BUCKET names, and it is not set")?;
            place.prefix = tidy(&fast_flow(access, "S3_PREFIX").unwrap_or_default());
        }
        place.check()?;
        let style = access.variable("S3_USE_PATH_STYLE");
        if scheme == Scheme::S3 && style.is_some_and(|style| switch(style).is_none()) {
            return Err("S3_USE_PATH_STYLE is neither true nor false".into());
        }
        place.endpoint().map_or(Ok(()), check_endpoint)?;
        Ok(place)
    }

    /// The endpoint, where it is one's own.
    pub(super) fn endpoint(&self) -> Option<&str> {
        let names: &[&str] = match self.scheme {
            Scheme::S3 => &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL"],
            Scheme::Google => &["STORAGE_EMULATOR_HOST"],
            Scheme::Azure => &["AZURE_STORAGE_ENDPOINT"],
            Scheme::File => return None,
        };
        let set = self.access.endpoint.as_deref();
        let found = set.or_else(|| self.access.first(names));
        found.map(|endpoint| endpoint.trim().trim_end_matches('/'))
    }

    /// Whether the bucket is the first part of the path, and not of the host's name.
    pub(super) fn has_path_style(&self, usual: bool) -> bool {
        let of_fast_flow = self.access.variable("S3_USE_PATH_STYLE").and_then(switch);
        self.access.path_style.or(of_fast_flow).unwrap_or(usual)
    }

    /// For messages: who was asked is half of the answer.
    pub(super) fn with_endpoint(&self) -> String {
        match self.endpoint() {
            Some(endpoint) => format!("{self} at {endpoint}"),
            None => self.to_string(),
        }
    }

    /// A folder in this one.
    #[must_use]
    pub fn below(mut self, name: &str) -> Self {
        self.prefix = tidy(&format!("{}/{name}", self.prefix));
        self
    }

    fn check(&self) -> Result<(), String> {
        let is_name =
            |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        match self.scheme {
            Scheme::File if !self.bucket.is_empty() => {
                Err("a folder is written with three slashes: file:///folder".into())
            }
            Scheme::File if self.prefix.is_empty() => Err("it names no folder".into()),
            Scheme::File => Ok(()),
            _ if self.bucket.is_empty() => Err("it names no bucket".into()),
            _ if !self.bucket.chars().all(is_name) => Err("that is no name of a bucket".into()),
            _ => Ok(()),
        }
    }

    /// The place above, and the last part of this one; `None` where there is none above.
    #[must_use]
    pub fn split_last(&self) -> Option<(Self, String)> {
        let (above, last) = match self.prefix.rsplit_once('/') {
            Some((above, last)) => (above, last),
            None => ("", self.prefix.as_str()),
        };
        let is_there = !last.is_empty() && (self.scheme != Scheme::File || !above.is_empty());
        let place = Self {
            prefix: above.into(),
            ..self.clone()
        };
        is_there.then(|| (place, last.into()))
    }
}

/// It is shown in messages.
fn check_endpoint(text: &str) -> Result<(), String> {
    let url = reqwest::Url::parse(text)
        .map_err(|error| format!("the endpoint of the store is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(
            "the endpoint of the store is no URL that begins with http:// or https://".into(),
        );
    }
    let has_secret =
        !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    if has_secret {
        return Err("the endpoint of the store has a user, a password or a query: credentials come from the environment or a file".into());
    }
    Ok(())
}

fn scheme_of(text: &str) -> Option<Scheme> {
    let found = SCHEMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, scheme)| *scheme)
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

fn fast_flow(access: &Access, name: &str) -> Option<String> {
    access.variable(name).map(str::to_owned)
}

/// Without empty parts.
fn tidy(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = SCHEMES.iter().find(|(_, scheme)| *scheme == self.scheme);
        let name = named.map_or("", |(name, _)| name);
        write!(f, "{name}://{}", self.bucket)?;
        if self.prefix.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.prefix)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        Place::parse(text, &Access::default()).map(|place| place.to_string())
    }

    #[test]
    fn a_url_names_bucket_and_prefix() {
        for (text, shown) in [
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("S3://bucket//a//b/", "s3://bucket/a/b"),
            ("gs://bucket/a", "gs://bucket/a"),
            ("az://container/a", "az://container/a"),
            ("file:///mnt/nas", "file:///mnt/nas"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn what_is_no_place_is_refused_without_repeating_it() {
        for text in [
            "secret",
            "ftp://secret",
            "s3://key:secret@bucket/a",
            "s3://secret@bucket",
            "s3://bucket/a?secret=1",
            "s3://bucket/a#secret",
            "s3://bucket:9000/secret",
            "s3:///secret",
            "s3://",
            "gs://",
            "file://secret/a",
            "file:///",
            "s3://bucket/../secret",
            "s3://buc ket/secret",
        ] {
            let words = parse(text).expect_err(text);
            assert!(!words.contains("secret"), "{words}");
        }
    }

    #[test]
    fn s3_alone_is_the_bucket_of_fast_flow_and_no_other_url_is() {
        let env = |name: &str| match name {
            "S3_BUCKET" => Some("files".to_owned()),
            "S3_PREFIX" => Some("/backups/".to_owned()),
            _ => None,
        };
        let access = Access::of(&env);
        let shown = |text| Place::parse(text, &access).map(|place| place.to_string());
        assert_eq!(shown("s3://").as_deref(), Ok("s3://files/backups"));
        assert_eq!(shown("s3://other").as_deref(), Ok("s3://other"));
    }

    #[test]
    fn the_last_part_of_a_url_can_be_taken_off() {
        let place = Place::parse("s3://bucket/a/latest", &Access::default()).expect("good");
        let (above, last) = place.split_last().expect("two parts");
        assert_eq!(
            (above.to_string().as_str(), last.as_str()),
            ("s3://bucket/a", "latest")
        );
        let (above, _) = above.split_last().expect("one part");
        assert!(above.split_last().is_none());
    }

    #[test]
    fn nothing_of_the_credentials_is_shown() {
        let access = Access::of(&|name| name.contains("KEY").then(|| "hidden".into()));
        let place = Place::parse("s3://bucket", &access).expect("good");
        assert!(!format!("{access:?} {place:?} {place}").contains("hidden"));
    }
}
