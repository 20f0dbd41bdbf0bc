//! HTTP, with as much patience as the end of a job has.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

/// How often it is tried again where nobody listens, or where the server says that it is its own fault.
const RETRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(250);

/// What is sent.
#[derive(Clone)]
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) text: String,
}

pub(super) fn client() -> Result<Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots())
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        // A URL that holds a token is not handed on.
        .redirect(Policy::none())
        .user_agent(concat!("safestep/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| cause(&error))
}

/// The authorities that the system trusts; in an image without any, those of Mozilla's list.
fn roots() -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// # Errors
/// Why it did not arrive, without the URL.
pub(super) async fn post(client: &Client, url: &Url, body: &Body) -> Result<(), String> {
    let mut tried = 0;
    loop {
        let (words, again) = match attempt(client, url, body).await {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        if !again || tried == RETRIES {
            return Err(words);
        }
        tried += 1;
        tokio::time::sleep(PAUSE * tried).await;
    }
}

/// On failure, why, and whether it is worth another attempt.
async fn attempt(client: &Client, url: &Url, body: &Body) -> Result<(), (String, bool)> {
    let request = client
        .post(url.clone())
        .header(CONTENT_TYPE, body.content_type)
        .body(body.text.clone());
    let answer = request
        .send()
        .await
        .map_err(|error| (cause(&error), error.is_connect()))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err((format!("it answered {status}"), status.is_server_error()))
}

/// The innermost reason; the outer ones tell the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut inner = error.source();
    while let Some(next) = inner.and_then(std::error::Error::source) {
        inner = Some(next);
    }
    inner.map_or_else(
        || "the request could not be made".into(),
        ToString::to_string,
    )
}
