//! An answer of a store that is no success.

use std::error::Error as StdError;
use std::fmt;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::error::OffsiteCause;

/// So much of a message is shown.
const SHOWN_LETTERS: usize = 200;

/// What the store said: of the XML or JSON that it answered nothing but code and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, ", {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl Refusal {
    /// The one that an error is about.
    pub(super) fn within<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(reason) = next {
            if let Some(refusal) = reason.downcast_ref() {
                return Some(refusal);
            }
            next = reason.source();
        }
        None
    }

    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let (code, message) = of_json(&text).unwrap_or_else(|| of_xml(&text));
        Self {
            status,
            code: shortened(&code),
            message: shortened(&message),
        }
    }

    /// What it means. The codes are those of S3, which the others have taken over or have words of their own for
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
    pub(super) fn cause(&self) -> OffsiteCause {
        use OffsiteCause as Cause;
        match self.code.as_str() {
            "InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException" => {
                Cause::Key
            }
            "SignatureDoesNotMatch" | "AuthenticationFailed" => Cause::Secret,
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken" => {
                Cause::Expired
            }
            "RequestTimeTooSkewed" | "RequestExpired" => Cause::Skew,
            "NoSuchBucket" | "ContainerNotFound" => Cause::NoBucket,
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => Cause::Region,
            "SlowDown" | "InternalError" | "ServiceUnavailable" | "RequestTimeout"
            | "OperationAborted" => Cause::Busy,
            _ => match self.status {
                301 | 302 | 307 | 308 => Cause::Region,
                401 => Cause::Key,
                403 => Cause::Denied,
                501 => Cause::Refused,
                408 | 429 | 500.. => Cause::Busy,
                _ => Cause::Refused,
            },
        }
    }

    /// Whether it is a lock that keeps an object from being removed, not a missing right.
    pub(super) fn is_lock(&self) -> bool {
        let words = format!("{} {}", self.code, self.message).to_lowercase();
        let named = [
            "worm",
            "objectlock",
            "object lock",
            "retention",
            "immutable",
            "legal hold",
        ];
        named.iter().any(|name| words.contains(name))
    }

    /// Whether it says that it has no conditions at all.
    pub(super) fn has_no_conditions(&self) -> bool {
        self.status == 501 || (self.status == 400 && self.code == "NotImplemented")
    }
}

/// The first line, and not a long one: it is somebody else's text.
fn shortened(text: &str) -> String {
    let first = text.trim().lines().next().unwrap_or_default();
    let plain = first
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.take(SHOWN_LETTERS).collect::<String>().trim().into()
}

fn of_xml(text: &str) -> (String, String) {
    let mut reader = Reader::from_str(text);
    let (mut code, mut message) = (String::new(), String::new());
    let mut name = Vec::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => name = tag.local_name().as_ref().to_vec(),
            Ok(Event::End(_)) => name.clear(),
            Ok(Event::Text(words)) => {
                let words = words.decode().unwrap_or_default();
                match name.as_slice() {
                    b"Code" if code.is_empty() => code = words.into(),
                    b"Message" if message.is_empty() => message = words.into(),
                    _ => {}
                }
            }
            Ok(Event::Eof) | Err(_) => return (code, message),
            Ok(_) => {}
        }
    }
}

/// Google's token services and Azure's answer in JSON.
fn of_json(text: &str) -> Option<(String, String)> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let error = value.get("error")?;
    if error.is_object() {
        return Some((word(&error["status"]), word(&error["message"])));
    }
    Some((word(error), word(&value["error_description"])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(status: u16, code: &str) -> (OffsiteCause, String) {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>In words.</Message><AWSAccessKeyId>hidden</AWSAccessKeyId>\
             <StringToSign>hidden</StringToSign></Error>"
        );
        let refusal = Refusal::read(status, body.as_bytes());
        (refusal.cause(), refusal.to_string())
    }

    #[test]
    fn the_code_says_what_it_was_and_nothing_else_of_the_answer_is_shown() {
        use OffsiteCause as Cause;
        for (status, code, expected) in [
            (403, "InvalidAccessKeyId", Cause::Key),
            (403, "SignatureDoesNotMatch", Cause::Secret),
            (403, "AccessDenied", Cause::Denied),
            (403, "RequestTimeTooSkewed", Cause::Skew),
            (400, "ExpiredToken", Cause::Expired),
            (404, "NoSuchBucket", Cause::NoBucket),
            (301, "PermanentRedirect", Cause::Region),
            (503, "SlowDown", Cause::Busy),
            (500, "", Cause::Busy),
            (501, "NotImplemented", Cause::Refused),
            (400, "EntityTooSmall", Cause::Refused),
        ] {
            let (cause, words) = cause(status, code);
            assert_eq!(cause, expected, "{code}");
            assert!(
                words.contains("In words.") && !words.contains("hidden"),
                "{words}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_no_xml_or_a_long_one_is_bounded() {
        let refusal = Refusal::read(502, "x".repeat(100_000).as_bytes());
        assert_eq!(refusal.to_string(), "status 502");
        let long = format!(
            "<Error><Message>{}\n</Message></Error>",
            "x".repeat(100_000)
        );
        assert!(Refusal::read(400, long.as_bytes()).to_string().len() < 300);
    }
}
