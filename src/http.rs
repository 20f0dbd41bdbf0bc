//! The one HTTP client: TLS by ring, the authorities of the system or Mozilla's, no redirections.

use std::error::Error as _;
use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

/// A client to be completed with timeouts.
///
/// # Errors
/// Why it cannot be made.
pub fn builder() -> Result<ClientBuilder, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots())
        .with_no_client_auth();
    Ok(Client::builder()
        .tls_backend_preconfigured(tls)
        // A URL that holds a token is not handed on.
        .redirect(Policy::none())
        .user_agent(concat!("safestep/", env!("CARGO_PKG_VERSION"))))
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

/// The innermost reason; the outer ones tell the URL.
#[must_use]
pub fn cause(error: &reqwest::Error) -> String {
    let mut inner = error.source();
    while let Some(next) = inner.and_then(std::error::Error::source) {
        inner = Some(next);
    }
    inner.map_or_else(
        || "the request could not be made".into(),
        ToString::to_string,
    )
}
