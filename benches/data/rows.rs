//! The rows, one by one, with the columns of every revision.

use chrono::{DateTime, Duration, Utc};
use fastrand::Rng;

/// 2024-01-18 18:00 UTC.
const EPOCH: i64 = 1_705_600_800;

const TOKEN_LETTERS: usize = 93;

const PIPELINES: [&str; 12] = [
    "daily_sales_import",
    "customer_sync",
    "invoice_export",
    "stock_forecast",
    "newsletter",
    "gdpr_cleanup",
    "weather_ingest",
    "log_rotation",
    "price_crawler",
    "umsätze_nach_region",
    "it's_quoted",
    "heartbeat",
];

/// With how often in a hundred.
const STATUSES: [(&str, u8); 6] = [
    ("SUCCESS", 80),
    ("FAILED", 10),
    ("WARNING", 5),
    ("INTERRUPTED", 3),
    ("RUNNING", 1),
    ("PENDING", 1),
];

const PARAMETERS: [&str; 5] = [
    "{}",
    r#"{"region": "EMEA"}"#,
    r#"{"region": "DACH", "limit": "1000"}"#,
    r#"{"since": "2024-01-01", "dry_run": "false"}"#,
    r#"{"note": "line one\nline two"}"#,
];

const FIRST_NAMES: [&str; 10] = [
    "ada", "grace", "jürgen", "chloé", "linus", "o'brien", "mei", "olu", "frieda", "zoë",
];
const ROLES: [&str; 3] = ["READONLY", "WRITE", "ADMIN"];
const TRIGGERS: [(&str, &str); 3] = [
    ("CRON", "0 6 * * *"),
    ("INTERVAL", "hours=6"),
    ("DATE", "2024-12-24T18:00:00"),
];

/// The value of a column.
pub(crate) enum Cell {
    Text(String),
    Whole(i64),
    Real(f64),
    Null,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A column and its value.
pub(crate) type Named = (&'static str, Cell);

/// The tables that do not grow with the file, and how many rows each gets. Users come before their sessions.
pub(crate) fn fixed(users: u64) -> [(&'static str, u64); 6] {
    [
        ("pipelines", PIPELINES.len() as u64),
        ("scheduled_jobs", 2 * PIPELINES.len() as u64),
        ("secrets", 200),
        ("users", users),
        ("sessions", users),
        ("invitations", users / 50),
    ]
}

/// Draws row after row; the order in which they are asked for is part of what comes out.
pub(crate) struct Rows {
    rng: Rng,
    user_ids: Vec<u128>,
}

impl Rows {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            user_ids: Vec::new(),
        }
    }

    /// The next row of a table.
    pub(crate) fn of(&mut self, table: &str, number: u64) -> Vec<Named> {
        match table {
            "pipelines" => pipeline(number),
            "scheduled_jobs" => self.scheduled_job(number),
            "secrets" => self.secret(number),
            "users" => self.user(number),
            "sessions" => self.session(number),
            "invitations" => self.invitation(number),
            _ => self.run(number),
        }
    }

    fn id(&mut self) -> String {
        hex(self.rng.u128(..))
    }

    /// An encrypted secret (Fernet), which nothing compresses.
    fn token(&mut self) -> String {
        let letters = (0..TOKEN_LETTERS).map(|_| self.rng.alphanumeric());
        "gAAAAAB".chars().chain(letters).collect()
    }

    /// With microseconds, as the application has them.
    fn moment(&mut self, seconds: u64) -> String {
        let mut text = at(seconds);
        text.truncate(text.len() - 6);
        text + &format!("{:06}", self.rng.u32(..1_000_000))
    }

    fn run(&mut self, number: u64) -> Vec<Named> {
        let id = self.id();
        let pipeline = pick(&PIPELINES, number);
        let status = self.status();
        let ended = !matches!(status, "RUNNING" | "PENDING");
        let started = 37 * number;
        let took = 1 + self.rng.u64(..900);
        let environment = format!(
            r#"{{"ATTEMPT": "{}", "API_TOKEN": "{}"}}"#,
            number % 3,
            self.token()
        );
        let exit_code = match status {
            "SUCCESS" | "WARNING" => Some(0),
            "FAILED" => Some(1),
            "INTERRUPTED" => Some(137),
            _ => None,
        };
        let setup = f64::from(self.rng.u16(..20_000)) / 1000.0;
        vec![
            ("id", id.as_str().into()),
            ("pipeline_name", pipeline.into()),
            ("status", status.into()),
            ("log_file", format!("logs/{pipeline}/{id}.log").into()),
            (
                "metrics_file",
                ended
                    .then(|| format!("logs/{pipeline}/{id}.metrics.jsonl"))
                    .into(),
            ),
            ("env_vars", environment.into()),
            (
                "parameters",
                (!number.is_multiple_of(13))
                    .then(|| pick(&PARAMETERS, number))
                    .into(),
            ),
            (
                "uv_version",
                (!number.is_multiple_of(4)).then_some("0.1.13").into(),
            ),
            ("setup_duration", ended.then_some(setup).into()),
            ("started_at", self.moment(started).into()),
            (
                "finished_at",
                ended.then(|| self.moment(started + took)).into(),
            ),
            ("exit_code", exit_code.into()),
            (
                "triggered_by",
                pick(&["manual", "cron", "webhook"], number).into(),
            ),
        ]
    }

    fn status(&mut self) -> &'static str {
        let mut drawn = self.rng.u8(..100);
        for (status, share) in STATUSES {
            if drawn < share {
                return status;
            }
            drawn -= share;
        }
        STATUSES[0].0
    }

    fn user(&mut self, number: u64) -> Vec<Named> {
        let id = self.rng.u128(..);
        self.user_ids.push(id);
        let name = format!("{}.{number:07}", pick(&FIRST_NAMES, number));
        let hash = format!("$2b$12${}{}", self.id(), self.id());
        let invited = number % 7 == 3;
        vec![
            ("id", hex(id).into()),
            ("username", name.as_str().into()),
            ("password_hash", hash[..60].into()),
            ("created_at", at(3600 * (number % 5000)).into()),
            (
                "email",
                (number % 5 < 4)
                    .then(|| format!("{name}@example.org"))
                    .into(),
            ),
            ("role", pick(&ROLES, number).into()),
            ("blocked", u64::from(number % 11 == 7).into()),
            ("invitation_token", invited.then(|| self.id()).into()),
            ("invitation_expires_at", invited.then(|| at(number)).into()),
            ("microsoft_id", (number % 9 == 5).then(|| self.id()).into()),
            ("github_id", (number % 6 == 1).then(|| self.id()).into()),
            ("google_id", (number % 8 == 2).then(|| self.id()).into()),
        ]
    }

    /// One in fifty belongs to a user who is gone, because the application never switches foreign keys on.
    fn session(&mut self, number: u64) -> Vec<Named> {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let user = match self.user_ids.get(index) {
            Some(id) if !number.is_multiple_of(50) => hex(*id),
            _ => self.id(),
        };
        vec![
            ("id", self.id().into()),
            (
                "token",
                format!("eyJhbGciOiJIUzI1NiJ9.{}", self.id()).into(),
            ),
            ("user_id", user.into()),
            ("expires_at", at(60 * number + 86_400).into()),
            ("created_at", at(60 * number).into()),
        ]
    }

    fn invitation(&mut self, number: u64) -> Vec<Named> {
        let recipient = format!("{}.{number}@example.org", pick(&FIRST_NAMES, number));
        vec![
            ("id", self.id().into()),
            ("recipient_email", recipient.into()),
            ("token", self.id().into()),
            ("is_used", (number % 2).into()),
            ("expires_at", at(86_400 * number).into()),
            ("role", pick(&ROLES, number).into()),
        ]
    }

    fn secret(&mut self, number: u64) -> Vec<Named> {
        vec![
            ("id", self.id().into()),
            ("key", format!("SECRET_{number:03}").into()),
            ("value", self.token().into()),
            ("created_at", at(number).into()),
            ("updated_at", at(number).into()),
            ("is_parameter", u64::from(number.is_multiple_of(4)).into()),
        ]
    }

    fn scheduled_job(&mut self, number: u64) -> Vec<Named> {
        let (kind, value) = TRIGGERS[index(number, TRIGGERS.len())];
        vec![
            ("id", self.id().into()),
            ("pipeline_name", pick(&PIPELINES, number).into()),
            ("trigger_type", kind.into()),
            ("trigger_value", value.into()),
            ("enabled", u64::from(number % 4 < 3).into()),
            ("created_at", at(number).into()),
        ]
    }
}

fn pipeline(number: u64) -> Vec<Named> {
    vec![
        ("pipeline_name", pick(&PIPELINES, number).into()),
        ("has_requirements", (number % 2).into()),
        (
            "last_cache_warmup",
            (!number.is_multiple_of(3))
                .then(|| at(86_400 * number))
                .into(),
        ),
        ("total_runs", 1000.into()),
        ("successful_runs", 900.into()),
        ("failed_runs", 100.into()),
        ("webhook_runs", 333.into()),
    ]
}

fn pick(words: &[&'static str], number: u64) -> &'static str {
    words[index(number, words.len())]
}

fn index(number: u64, length: usize) -> usize {
    usize::try_from(number % length as u64).unwrap_or(0)
}

fn hex(id: u128) -> String {
    format!("{id:032x}")
}

/// As SQLAlchemy stores a DATETIME.
fn at(seconds: u64) -> String {
    let seconds = Duration::seconds(i64::try_from(seconds).unwrap_or(0));
    let moment = DateTime::<Utc>::from_timestamp(EPOCH, 0).unwrap_or_default() + seconds;
    moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}
