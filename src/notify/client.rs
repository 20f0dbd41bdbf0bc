//! HTTP, with as much patience as the end of a job has.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};

use crate::http;

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
    http::builder()?
        .build()
        .map_err(|error| http::cause(&error))
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
        .map_err(|error| (http::cause(&error), error.is_connect()))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err((format!("it answered {status}"), status.is_server_error()))
}
