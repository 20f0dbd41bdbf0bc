//! The HTTP of object stores: our client below `object_store`, and what has to be heard or said beside it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, Method};
use tokio::time::Sleep;

use super::failure::is_tls;
use super::refusal::Refusal;
use crate::http;

/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// For an answer to come once the request is sent, and for each further piece of it.
const ANSWER: Duration = Duration::from_mins(1);
/// What is sent may take this long besides, per MiB: a line slower than that is taken for a dead one.
const SEND_PER_MIB: Duration = Duration::from_secs(30);
/// Where machines tell their programs of credentials; in most places nobody answers there.
const METADATA: [&str; 4] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "metadata.google.internal",
];
const METADATA_WAIT: Duration = Duration::from_secs(2);
/// What is read of an answer that is no success.
const REFUSAL_BYTES: usize = 64 * 1024;
const GOOGLE_CONDITION: HeaderName = HeaderName::from_static("x-goog-if-generation-match");

/// The last answer that was no success and is asked for again: the reason, once nothing else can be said.
pub(super) type Trouble = Arc<Mutex<Option<Refusal>>>;

/// Whose conditions a request may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    S3,
    Google,
    Azure,
}

/// Our client, as `object_store` uses it.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) client: Client,
    dialect: Dialect,
    /// Whether the store knows conditions; once it has said that it does not, none are set.
    pub(super) conditional: Arc<AtomicBool>,
    pub(super) trouble: Trouble,
}

/// The address of credentials is nobody's there, or it knows none.
#[derive(Debug)]
pub(super) struct NoCredentials;

impl std::fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "neither environment nor files hold any, and no role of this machine is to be had",
        )
    }
}

impl std::error::Error for NoCredentials {}

impl Service {
    pub(super) fn new(dialect: Dialect) -> Result<Self, String> {
        let client = http::builder()?
            .connect_timeout(CONNECT)
            .tcp_user_timeout(ANSWER)
            .build()
            .map_err(|error| http::cause(&error))?;
        Ok(Self {
            client,
            dialect,
            conditional: Arc::new(AtomicBool::new(true)),
            trouble: Trouble::default(),
        })
    }

    /// A multipart upload is completed by `object_store` without a condition: what another has put there meanwhile would be
    /// replaced. The header need not be signed; where Azure's shared key would have to, what is there is looked at before.
    fn add_condition(&self, request: &mut HttpRequest) {
        let query = request.uri().query().unwrap_or_default();
        let completes = match self.dialect {
            Dialect::S3 | Dialect::Google => {
                request.method() == Method::POST && query.contains("uploadId=")
            }
            Dialect::Azure => {
                let authorization = request.headers().get(AUTHORIZATION);
                let is_signed =
                    authorization.is_some_and(|value| value.as_bytes().starts_with(b"SharedKey"));
                query.contains("comp=blocklist") && request.method() == Method::PUT && !is_signed
            }
        };
        if !completes || !self.conditional.load(Ordering::Relaxed) {
            return;
        }
        let (name, value) = match self.dialect {
            Dialect::Google => (GOOGLE_CONDITION, HeaderValue::from_static("0")),
            Dialect::S3 | Dialect::Azure => (IF_NONE_MATCH, HeaderValue::from_static("*")),
        };
        request.headers_mut().insert(name, value);
    }

    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.add_condition(&mut request);
        let is_metadata = request
            .uri()
            .host()
            .is_some_and(|host| METADATA.contains(&host));
        let limit = if is_metadata {
            METADATA_WAIT
        } else {
            limit(request.body().content_length())
        };
        let answer = tokio::time::timeout(limit, self.client.call(request));
        let answer = match answer.await {
            Err(late) => Err(HttpError::new(HttpErrorKind::Timeout, late)),
            Ok(answer) => answer,
        };
        match answer {
            Err(_) if is_metadata => Err(HttpError::new(HttpErrorKind::Unknown, NoCredentials)),
            Ok(answer) if is_metadata && !answer.status().is_success() => {
                Err(HttpError::new(HttpErrorKind::Unknown, NoCredentials))
            }
            Ok(answer) if !answer.status().is_success() => self.refused(answer).await,
            Ok(answer) => Ok(answer.map(Impatient::watching)),
            // It will not be another the next time.
            Err(error) if is_tls(&error) => Err(HttpError::new(HttpErrorKind::Unknown, error)),
            Err(error) => Err(error),
        }
    }

    /// What `object_store` makes nothing of becomes an error that says what it was; the rest goes its way.
    async fn refused(&self, answer: HttpResponse) -> Result<HttpResponse, HttpError> {
        let (parts, body) = answer.into_parts();
        let body = beginning(Impatient::watching(body)).await;
        let status = parts.status.as_u16();
        let refusal = Refusal::read(status, &body);
        let goes_on = || HttpResponse::from_parts(parts, body.into());
        match (status, refusal.code.as_str()) {
            // The body was damaged or cut on its way.
            (
                400,
                "RequestTimeout"
                | "BadDigest"
                | "XAmzContentSHA256Mismatch"
                | "IncompleteBody"
                | "XAmzContentChecksumMismatch",
            ) => Err(HttpError::new(HttpErrorKind::Interrupted, refusal)),
            (404, "NoSuchBucket" | "ContainerNotFound") | (501, _) => {
                Err(HttpError::new(HttpErrorKind::Unknown, refusal))
            }
            (304 | 404 | 412, _) => Ok(goes_on()),
            // Azure says so of an immutable blob; elsewhere it means that somebody else is at it.
            (409, _) if refusal.is_lock() => Err(HttpError::new(HttpErrorKind::Unknown, refusal)),
            (408 | 409 | 429 | 500.., _) => {
                *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
                Ok(goes_on())
            }
            _ => Err(HttpError::new(HttpErrorKind::Unknown, refusal)),
        }
    }
}

fn limit(body_bytes: usize) -> Duration {
    let mib = u32::try_from(body_bytes.div_ceil(1024 * 1024)).unwrap_or(u32::MAX);
    ANSWER + SEND_PER_MIB.saturating_mul(mib)
}

async fn beginning(mut body: HttpResponseBody) -> Bytes {
    let mut read = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            let room = REFUSAL_BYTES - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
        if read.len() == REFUSAL_BYTES {
            break;
        }
    }
    read.into()
}

impl HttpService for Service {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> BoxFuture<'f, Result<HttpResponse, HttpError>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(self.send(request))
    }
}

impl HttpConnector for Service {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// A body that fails when nothing comes any more.
struct Impatient {
    body: HttpResponseBody,
    patience: Pin<Box<Sleep>>,
}

impl Impatient {
    fn watching(body: HttpResponseBody) -> HttpResponseBody {
        let patience = Box::pin(tokio::time::sleep(ANSWER));
        HttpResponseBody::new(Self { body, patience })
    }
}

impl Body for Impatient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.patience.set(tokio::time::sleep(ANSWER));
            return Poll::Ready(frame);
        }
        self.patience.as_mut().poll(context).map(|()| {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            Some(Err(HttpError::new(HttpErrorKind::Timeout, late)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
