//! What became of all of them, and the exit code of the whole.

use super::{Done, Shard};
use crate::error::{Error, NOT_PROVEN, Problem};

/// Not now: a retry may succeed.
const RETRY: u8 = 75;
/// Stopped by a signal; a retry may succeed.
const STOPPED: [u8; 2] = [130, 143];
/// Something unexpected, most often of the machine.
const UNEXPECTED: u8 = 1;
/// Failed, and the database is as before.
const FAILED: u8 = 5;

/// What became of all of them.
#[derive(Debug)]
pub struct Summary {
    /// Each database of the shard, in the order of their paths.
    pub done: Vec<Done>,
    /// How many databases there are in all shards.
    pub found: usize,
    /// Which share this is.
    pub shard: Option<Shard>,
    /// How many were worked on side by side.
    pub jobs: usize,
    /// What kept further ones from being started, where it was not their failures.
    pub stopped: Option<Error>,
    /// How long all of it took, in milliseconds.
    pub elapsed_ms: u64,
}

impl Done {
    /// The word for what became of it.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self.result {
            None => "not_started",
            Some(Ok(())) => self.report.outcome,
            Some(Err(_)) => "failed",
        }
    }

    /// Why it failed.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.result.as_ref()?.as_ref().err()
    }

    /// The command that puts back what was there before the job.
    #[must_use]
    pub fn way_back(&self) -> Option<String> {
        let id = &self.report.backup.as_ref()?.id;
        Some(format!(
            "safestep restore {id}{}",
            self.member.settings.flags()
        ))
    }

    /// What to do next, with commands that mean this database.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(self.error()?.hint_for(&self.member.settings.flags()))
    }
}

impl Summary {
    /// How many of them came to this.
    #[must_use]
    pub fn count(&self, outcome: &str) -> usize {
        let is_it = |done: &&Done| done.outcome() == outcome;
        self.done.iter().filter(is_it).count()
    }

    /// The word for the whole.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        if self.error().is_some() {
            return "failed";
        }
        let changed = self.done.iter().map(Done::outcome);
        changed
            .into_iter()
            .find(|outcome| *outcome != "nothing_to_do")
            .unwrap_or("nothing_to_do")
    }

    /// The failure of the whole, with the reason of each.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        let failed: Vec<Problem> = self.done.iter().filter_map(problem).collect();
        let not_started = self.count("not_started");
        if failed.is_empty() && not_started == 0 {
            return None;
        }
        let codes: Vec<u8> = self
            .done
            .iter()
            .filter_map(Done::error)
            .map(Error::exit_code)
            .collect();
        // A signal that came when nothing was left to stop has changed nothing.
        let has_stopped = not_started > 0 || codes.iter().any(|code| STOPPED.contains(code));
        let stopped = self.stopped.as_ref().filter(|_| has_stopped);
        Some(Error::SomeFailed {
            failed,
            not_started,
            stopped: stopped.map_or_else(|| "too many failed".to_owned(), ToString::to_string),
            total: self.done.len(),
            exit_code: exit_code(&codes, stopped.map(Error::exit_code)),
        })
    }
}

fn problem(done: &Done) -> Option<Problem> {
    let error = done.error()?;
    let mut words = format!("{error} (exit code {})", error.exit_code());
    if let Some(hint) = done.hint() {
        words.push_str(&format!("\nnext: {hint}"));
    }
    if let Some(way_back) = done.way_back() {
        words.push_str(&format!("\nto go back: {way_back}"));
    }
    let subject = done.member.path.display().to_string();
    Some(Problem::new(subject, words.replace('\n', "\n      ")))
}

/// The code of the whole, which a scheduler has to decide by whether a retry makes sense: an unproven database comes before
/// everything, since a person is needed; then that somebody has stopped it all; then whatever a retry may put right, since
/// that leaves alone what is done, and ends with the code of the others once only they are left.
fn exit_code(failures: &[u8], stopped: Option<u8>) -> u8 {
    let any = |code: u8| failures.contains(&code);
    if any(NOT_PROVEN) {
        return NOT_PROVEN;
    }
    if let Some(code) = stopped {
        return code;
    }
    if any(RETRY) || STOPPED.into_iter().any(any) {
        return RETRY;
    }
    if any(UNEXPECTED) {
        return UNEXPECTED;
    }
    match failures {
        [first, rest @ ..] if rest.iter().all(|code| code == first) => *first,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_the_whole_says_whether_a_retry_makes_sense_and_whether_a_person_is_needed() {
        assert_eq!(exit_code(&[4, 75, 6, 143], Some(143)), 6);
        assert_eq!(exit_code(&[4, 143], Some(143)), 143);
        assert_eq!(exit_code(&[], Some(143)), 143, "none was started");
        assert_eq!(exit_code(&[4, 5, 75], None), 75);
        assert_eq!(exit_code(&[4, 1, 5], None), 1);
        assert_eq!(exit_code(&[4, 4], None), 4);
        assert_eq!(exit_code(&[4, 5, 3], None), 5);
    }
}
