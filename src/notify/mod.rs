//! Who is told how a job ended: the metrics file, a Pushgateway, a webhook. Whatever fails here is a warning; a job that has
//! ended has ended.

mod client;
mod endpoint;
mod message;

use std::path::PathBuf;
use std::time::Duration;

use crate::metrics::{self, Facts, Registry};
use client::{Body, client, post};

pub use endpoint::Endpoint;
pub use message::{Failure, Message};

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The same where a signal asked the process to go.
const LIMIT_AFTER_SIGNAL: Duration = Duration::from_secs(3);
const SIGNALS: u8 = 128;

/// Where it is told. None of it has to be there.
#[derive(Debug, Clone, Default)]
pub struct Outlets {
    /// For `node_exporter`'s textfile collector; the memory of the counters.
    pub metrics_file: Option<PathBuf>,
    /// A Prometheus Pushgateway.
    pub pushgateway: Option<Endpoint>,
    /// Is sent a message after exit code 0.
    pub on_success: Option<Endpoint>,
    /// Is sent a message after any other.
    pub on_failure: Option<Endpoint>,
}

impl Outlets {
    /// Whether nobody wants to know.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.metrics_file.is_none()
            && self.pushgateway.is_none()
            && self.on_success.is_none()
            && self.on_failure.is_none()
    }

    fn hook(&self, exit_code: u8) -> Option<&Endpoint> {
        if exit_code == 0 {
            self.on_success.as_ref()
        } else {
            self.on_failure.as_ref()
        }
    }
}

/// Tells of the jobs of a command, and sends one message for all of them. Returns what could not be told, as sentences.
pub async fn tell(outlets: &Outlets, jobs: &[Facts], message: &Message) -> Vec<String> {
    let mut failed = Vec::new();
    let mut known = None;
    if let Some(path) = &outlets.metrics_file
        && !jobs.is_empty()
    {
        match metrics::update(path, jobs) {
            Ok(registry) => known = Some(registry),
            Err(error) => failed.push(format!("the metrics file was not written: {error}")),
        }
    }
    let hook = outlets.hook(message.exit_code);
    if hook.is_none() && (outlets.pushgateway.is_none() || jobs.is_empty()) {
        return failed;
    }
    let client = match client() {
        Ok(client) => client,
        Err(words) => {
            failed.push(format!("nobody was told over HTTP: {words}"));
            return failed;
        }
    };
    let limit = if message.exit_code > SIGNALS {
        LIMIT_AFTER_SIGNAL
    } else {
        LIMIT
    };
    let pushed = async {
        let gateway = outlets.pushgateway.as_ref()?;
        let work = push(&client, gateway, jobs, known);
        within(limit, work)
            .await
            .map_err(|words| format!("the Pushgateway at {gateway} was not told: {words}"))
            .err()
    };
    let pinged = async {
        let hook = hook?;
        let work = ping(&client, hook, message);
        within(limit, work)
            .await
            .map_err(|words| format!("the webhook at {hook} was not told: {words}"))
            .err()
    };
    let (pushed, pinged) = tokio::join!(pushed, pinged);
    failed.extend(pushed);
    failed.extend(pinged);
    failed
}

async fn within(
    limit: Duration,
    work: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs())))
}

/// Each database is a group of its own. Counters are sent only where a file keeps them: without one, each job would begin
/// them anew. What this job did not come to see stays in the gateway as it was, since it is a POST.
async fn push(
    client: &reqwest::Client,
    gateway: &Endpoint,
    jobs: &[Facts],
    known: Option<Registry>,
) -> Result<(), String> {
    let counters = known.is_some();
    let registry = known.unwrap_or_else(|| {
        let mut registry = Registry::default();
        for job in jobs {
            registry.record(job);
        }
        registry
    });
    for job in jobs {
        let body = Body {
            content_type: metrics::CONTENT_TYPE,
            text: registry.render_one(job.database(), counters),
        };
        post(client, &gateway.group(job.database()), &body).await?;
    }
    Ok(())
}

async fn ping(client: &reqwest::Client, hook: &Endpoint, message: &Message) -> Result<(), String> {
    let text = serde_json::to_string(message).map_err(|error| error.to_string())?;
    let body = Body {
        content_type: "application/json",
        text,
    };
    post(client, hook.url(), &body).await
}
