//! The clock on the wall as something that can be waited for, so that a test can walk through a year.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Stamp, Stopwatch};

/// Whoever waits looks at least this often: the clock may have been set, or the machine may have slept.
const LOOK: Duration = Duration::from_secs(1);

/// A clock that shows the time of day, and can be set.
pub trait Wall: Send + Sync {
    /// What it shows.
    fn now(&self) -> Stamp;
    /// How long this process has been awake; no setting of the clock changes it.
    fn awake(&self) -> Duration;
    /// Returns at that moment, or earlier.
    fn until(&self, moment: Stamp) -> impl Future<Output = ()> + Send;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemWall(Stopwatch);

impl Default for SystemWall {
    fn default() -> Self {
        Self(Stopwatch::start())
    }
}

impl Wall for SystemWall {
    fn now(&self) -> Stamp {
        Stamp::now()
    }

    fn awake(&self) -> Duration {
        Duration::from_millis(self.0.elapsed_ms())
    }

    async fn until(&self, moment: Stamp) {
        tokio::time::sleep(self.now().until(moment).min(LOOK)).await;
    }
}

impl Stamp {
    /// Reads what [`Self::rfc3339`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Self(moment.with_timezone(&Utc)))
    }
}
