//! What a store's refusal means.

use std::error::Error as StdError;
use std::io;
use std::sync::PoisonError;

use object_store::client::{HttpError, HttpErrorKind};

use super::refusal::Refusal;
use super::service::{NoCredentials, Trouble};
use crate::error::{Error, OffsiteCause, OffsiteFailure};

/// What is being done, and where.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) place: String,
    pub(super) doing: String,
    pub(super) trouble: Trouble,
}

impl Act {
    /// For the message of one who was stopped during it.
    pub(super) fn words(&self) -> String {
        format!("while it was to {} {}", self.doing, self.place)
    }

    pub(super) fn failed(&self, cause: OffsiteCause, detail: String) -> Error {
        Error::Offsite(Box::new(OffsiteFailure {
            place: self.place.clone(),
            doing: self.doing.clone(),
            cause,
            detail,
        }))
    }

    pub(super) fn damaged(&self, detail: impl Into<String>) -> Error {
        self.failed(OffsiteCause::Damaged, detail.into())
    }

    /// What went wrong between us and the store.
    pub(super) fn explain(&self, error: &object_store::Error) -> Error {
        let (cause, detail) = explain(error).unwrap_or_else(|| self.trouble());
        self.failed(cause, detail)
    }

    /// A store that was asked again and again, and had trouble each time.
    fn trouble(&self) -> (OffsiteCause, String) {
        let last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(refusal) => (refusal.cause(), refusal.to_string()),
            None => (OffsiteCause::Busy, String::new()),
        }
    }
}

/// What in the chain of reasons says most.
fn explain(error: &object_store::Error) -> Option<(OffsiteCause, String)> {
    if let Some(refusal) = Refusal::within(error) {
        return Some((refusal.cause(), refusal.to_string()));
    }
    // In a folder, the reason is one of files, and would be taken for a folder that is not there.
    if matches!(error, object_store::Error::NotFound { .. }) {
        return by_kind(error);
    }
    let mut transport = None;
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(reason) = next {
        if reason.is::<NoCredentials>() {
            return Some((OffsiteCause::NoCredentials, reason.to_string()));
        }
        if let Some(error) = reason.downcast_ref::<HttpError>() {
            transport = Some(of_transport(error));
        }
        if let Some(error) = reason.downcast_ref::<io::Error>()
            && transport.is_none()
        {
            return Some(of_files(error));
        }
        next = reason.source();
    }
    transport.or_else(|| by_kind(error))
}

fn of_transport(error: &HttpError) -> (OffsiteCause, String) {
    let detail = innermost(error).to_string();
    let cause = match error.kind() {
        _ if is_tls(error) => OffsiteCause::Tls,
        HttpErrorKind::Connect => OffsiteCause::Unreachable,
        _ => OffsiteCause::Cut,
    };
    (cause, detail)
}

fn innermost<'e>(error: &'e (dyn StdError + 'static)) -> &'e (dyn StdError + 'static) {
    let mut inner = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner
}

/// An error of TLS is wrapped in one or two of input and output, which do not name it as their source.
pub(super) fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(reason) = next {
        if reason.is::<rustls::Error>() {
            return true;
        }
        let wrapped = reason
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => reason.source(),
        };
    }
    false
}

fn of_files(error: &io::Error) -> (OffsiteCause, String) {
    let cause = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OffsiteCause::Denied,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => OffsiteCause::NoBucket,
        _ => OffsiteCause::Busy,
    };
    (cause, error.to_string())
}

fn by_kind(error: &object_store::Error) -> Option<(OffsiteCause, String)> {
    use object_store::Error as Kind;
    let known = match error {
        Kind::NotFound { .. } => (OffsiteCause::Damaged, "it is not there".into()),
        Kind::AlreadyExists { .. } | Kind::Precondition { .. } => {
            (OffsiteCause::Occupied, String::new())
        }
        Kind::PermissionDenied { .. } => (OffsiteCause::Denied, String::new()),
        Kind::Unauthenticated { .. } => (OffsiteCause::Key, String::new()),
        Kind::NotSupported { .. } | Kind::NotImplemented { .. } | Kind::InvalidPath { .. } => {
            (OffsiteCause::Refused, error.to_string())
        }
        _ => return None,
    };
    Some(known)
}
