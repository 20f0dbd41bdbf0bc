//! What the comment lines at the top of a migration say to the job.
//!
//! ```sql
//! -- no-transaction                                    sqlx's marker, only as the very first line
//! -- alembic: 007_drop_password_hash                   the id in alembic_version
//! -- drops: column users.password_hash, index ix_users_old, check users (age > 0)
//! -- renames: column users.name to full_name, table keys to secrets
//! -- deletes: rows sessions
//! ```

use std::collections::BTreeSet;

use super::dropped::Dropped;
use super::items::{split_outside_quotes, unquoted};
use super::rename::Rename;

/// The losses that a migration owns up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declarations {
    /// Objects that may vanish.
    pub drops: BTreeSet<Dropped>,
    /// What goes on under another name, in order.
    pub renames: Vec<Rename>,
    /// Tables that may lose rows, in lower case.
    pub deletes: BTreeSet<String>,
}

impl Declarations {
    /// Takes over what another migration of the same job declares.
    pub fn extend(&mut self, other: &Self) {
        self.drops.extend(other.drops.iter().cloned());
        self.renames.extend(other.renames.iter().cloned());
        self.deletes.extend(other.deletes.iter().cloned());
    }
}

/// Everything that a header says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) no_transaction: bool,
    pub(super) alembic: Option<String>,
    pub(super) declared: Declarations,
}

const NO_TRANSACTION: &str = "-- no-transaction";

/// Reads a header; each complaint is a sentence for a developer.
pub(super) fn parse(sql: &str) -> Result<Header, Vec<String>> {
    let mut header = Header {
        no_transaction: sql.starts_with(NO_TRANSACTION),
        ..Header::default()
    };
    let mut complaints = Vec::new();
    for (index, line) in header_lines(sql).enumerate() {
        if let Err(complaint) = header.take(line.trim_end(), index == 0) {
            complaints.push(format!("line {}: {complaint}", index + 1));
        }
    }
    if complaints.is_empty() {
        Ok(header)
    } else {
        Err(complaints)
    }
}

fn header_lines(sql: &str) -> impl Iterator<Item = &str> {
    sql.lines()
        .take_while(|line| line.trim().is_empty() || line.trim_start().starts_with("--"))
}

impl Header {
    fn take(&mut self, line: &str, is_first: bool) -> Result<(), String> {
        let Some(text) = line.trim_start().strip_prefix("--") else {
            return Ok(());
        };
        let text = text.trim();
        if text.eq_ignore_ascii_case("no-transaction") && !(is_first && self.no_transaction) {
            return Err(format!(
                "'{NO_TRANSACTION}' counts only as the very first characters of the file, as sqlx reads it"
            ));
        }
        match text.split_once(':') {
            Some(("alembic", id)) => self.take_alembic(id.trim()),
            Some(("drops", list)) => self.take_drops(list),
            Some(("renames", list)) => self.take_renames(list),
            Some(("deletes", list)) => self.take_deletes(list),
            Some((
                word @ ("drop" | "delete" | "rename" | "Drops" | "Deletes" | "Renames" | "Alembic"),
                _,
            )) => Err(format!(
                "'{word}:' is not a directive; the directives are alembic:, drops:, renames: and deletes:"
            )),
            _ => Ok(()),
        }
    }

    fn take_alembic(&mut self, id: &str) -> Result<(), String> {
        if id.is_empty() || id.contains(char::is_whitespace) {
            return Err(format!("'{id}' is not an Alembic revision id"));
        }
        match self.alembic.replace(id.to_owned()) {
            None => Ok(()),
            Some(_) => Err("a file has one Alembic id".into()),
        }
    }

    fn take_drops(&mut self, list: &str) -> Result<(), String> {
        for item in split_outside_quotes(list) {
            self.declared.drops.insert(Dropped::parse(item)?);
        }
        Ok(())
    }

    fn take_renames(&mut self, list: &str) -> Result<(), String> {
        for item in split_outside_quotes(list) {
            self.declared.renames.push(Rename::parse(item)?);
        }
        Ok(())
    }

    fn take_deletes(&mut self, list: &str) -> Result<(), String> {
        for item in split_outside_quotes(list) {
            match item.split_once(' ') {
                Some(("rows", table)) => {
                    let table = unquoted(table).to_ascii_lowercase();
                    self.declared.deletes.insert(table);
                }
                _ => return Err(format!("'{item}': write 'rows <table>'")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_the_alembic_id_and_every_declared_loss() {
        let header = parse(
            "-- alembic: 007_x\n-- drops: column users.a, index ix_a\n-- drops: table t\n-- renames: column t.a to b\n-- deletes: rows s, rows u\nSELECT 1;",
        )
        .expect("a good header");
        assert_eq!(header.alembic.as_deref(), Some("007_x"));
        let drops: Vec<String> = header
            .declared
            .drops
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(drops, ["table t", "column users.a", "index ix_a"]);
        assert_eq!(header.declared.renames.len(), 1);
        assert_eq!(
            header.declared.deletes,
            BTreeSet::from(["s".to_owned(), "u".to_owned()])
        );
    }

    #[test]
    fn directives_after_the_first_statement_are_plain_comments() {
        let header = parse("SELECT 1;\n-- drops: table t\n").expect("a good header");
        assert_eq!(header, Header::default());
    }

    #[test]
    fn no_transaction_counts_only_where_sqlx_reads_it() {
        assert!(
            parse("-- no-transaction\nVACUUM;")
                .expect("good")
                .no_transaction
        );
        let complaints = parse("-- a comment\n-- no-transaction\nVACUUM;").expect_err("too late");
        assert!(complaints[0].starts_with("line 2:"));
    }

    #[test]
    fn a_directive_that_is_nearly_right_is_refused_not_ignored() {
        for line in [
            "-- drop: table t",
            "-- drops: users",
            "-- drops: column users",
            "-- deletes: sessions",
            "-- rename: table a to b",
            "-- renames: a to b",
            "-- alembic:",
        ] {
            assert!(parse(line).is_err(), "{line} was accepted");
        }
    }
}
