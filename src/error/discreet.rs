//! A failure in words that may go anywhere: into logs, which are collected and kept.

use super::{Error, Problem};

impl Error {
    /// What happened and where, with nothing of what the database holds. The answer of the command itself says it in full,
    /// to whoever asked: there the value that no enum rule maps, or the row that a foreign key misses, has to be named.
    #[must_use]
    pub fn discreet(&self) -> String {
        match self {
            Self::UnknownEnumValues { problems }
            | Self::VerificationFailed { problems }
            | Self::WouldFail { problems }
            | Self::SomeFailed {
                failed: problems, ..
            } => headline(self, problems),
            Self::MigrationFailed(failure) => {
                let cause = if failure.raised {
                    "it refused, in words of its own".to_owned()
                } else {
                    without_quotes(&failure.cause)
                };
                format!(
                    "{} failed at statement {}, line {}: {cause}",
                    failure.file.display(),
                    failure.statement,
                    failure.line
                )
            }
            Self::NotProven {
                cause,
                detail,
                backup,
            } => format!(
                "OPERATOR NEEDED: the job failed and the database could NOT be proven to be as before: {}; first failure: {}; backup: {}",
                without_quotes(detail),
                cause.discreet(),
                backup.display()
            ),
            Self::Sqlite { doing, failure } => {
                format!(
                    "could not {doing}: {}",
                    without_quotes(&failure.to_string())
                )
            }
            _ => self.to_string(),
        }
    }
}

/// What the problems are about, without the problems.
fn headline(error: &Error, problems: &[Problem]) -> String {
    let words = error.to_string();
    let first = words.lines().next().unwrap_or_default();
    let subjects: Vec<&str> = problems
        .iter()
        .map(|problem| problem.subject.as_str())
        .collect();
    format!("{first}: {}", subjects.join(", "))
}

/// SQLite puts into quotes what it was given: mostly words of the statement, but also the text that is no JSON path.
fn without_quotes(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['\'', '"']) {
        let (before, quoted) = rest.split_at(start);
        kept.push_str(before);
        let quote = &quoted[..1];
        let Some(end) = quoted[1..].rfind(quote) else {
            kept.push('…');
            return kept;
        };
        kept.push_str(&format!("{quote}…{quote}"));
        rest = &quoted[end + 2..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SqliteFailure;

    #[test]
    fn what_sqlite_quotes_is_not_repeated() {
        for (text, kept) in [
            ("no such column: state", "no such column: state"),
            ("bad JSON path: 'it''s \"secret\"'", "bad JSON path: '…'"),
            ("near \"FORM\": syntax error", "near \"…\": syntax error"),
            ("unrecognized token: \"'secret", "unrecognized token: …"),
        ] {
            assert_eq!(without_quotes(text), kept);
        }
    }

    #[test]
    fn values_stay_behind_and_the_place_is_told() {
        let problem = Problem::new("users.role", "'secret' is not allowed");
        let error = Error::UnknownEnumValues {
            problems: vec![problem],
        };
        let words = Error::NotProven {
            cause: Box::new(error),
            detail: "'secret'".into(),
            backup: "/b".into(),
        }
        .discreet();
        assert!(
            words.contains("users.role") && !words.contains("secret"),
            "{words}"
        );
        let failure = SqliteFailure {
            code: 1,
            message: "bad JSON path: 'secret'".into(),
        };
        let words = Error::sqlite("read")(failure).discreet();
        assert_eq!(words, "could not read: bad JSON path: '…' (SQLite code 1)");
    }
}
