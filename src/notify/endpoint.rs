//! Where something is sent to. The URL may hold a token in any of its parts, so nothing but scheme, host and port is ever shown.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use reqwest::Url;

/// An HTTP address.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads an URL.
    ///
    /// # Errors
    /// A sentence that does not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|error| format!("it is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("it is no URL that begins with http:// or https://".into());
        }
        Ok(Self(url))
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Of the group of a database in a Pushgateway that answers here. A path has slashes, so it is written in base64
    /// (<https://github.com/prometheus/pushgateway#url>).
    pub(super) fn group(&self, database: &str) -> Url {
        let mut url = self.0.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        let name = URL_SAFE.encode(database);
        url.set_path(&format!(
            "{path}/metrics/job/safestep/database@base64/{name}"
        ));
        url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.0.scheme())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_scheme_host_and_port_is_shown() {
        let text = "https://user:pass@hooks.example.com:8443/services/token?key=token#token";
        let endpoint = Endpoint::parse(text).expect("good");
        assert_eq!(endpoint.to_string(), "https://hooks.example.com:8443");
        assert_eq!(format!("{endpoint:?}"), "https://hooks.example.com:8443");
    }

    #[test]
    fn what_is_no_http_address_is_refused_without_repeating_it() {
        for text in [
            "token",
            "ftp://token",
            "/token",
            "https://",
            "http://[token",
        ] {
            let words = Endpoint::parse(text).expect_err(text);
            assert!(!words.contains("token"), "{words}");
        }
    }

    #[test]
    fn the_group_of_a_database_is_below_the_path_of_the_gateway() {
        let gateway = Endpoint::parse("http://host:9091/push/").expect("good");
        let url = gateway.group("/data/app.db");
        assert_eq!(
            url.as_str(),
            "http://host:9091/push/metrics/job/safestep/database@base64/L2RhdGEvYXBwLmRi"
        );
    }
}
