//! What the SQL of a migration may do.
//!
//! The job owns the transaction, the history tables and the file's settings; a
//! migration that reaches for them is refused when it is compiled, before it
//! has done anything (<https://www.sqlite.org/c3ref/set_authorizer.html>).

use libsqlite3_sys as sys;

use super::ffi::Action;

/// How a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Inside the job's transaction.
    Transactional,
    /// Marked `-- no-transaction`: outside any transaction of ours.
    NonTransactional,
}

/// The name of the database in which VACUUM rebuilds the file begins so: what it creates there are copies of what is allowed already.
const VACUUM_DATABASE_PREFIX: &str = "vacuum_";

/// Tables that only the job writes; [`super::OF_APPLICATION`] names them, too.
const HISTORY_TABLES: [&str; 3] = [
    "_sqlx_migrations",
    "alembic_version",
    "_safestep_migrations",
];

/// PRAGMAs that only read, or whose effect is part of the transaction.
const HARMLESS_PRAGMAS: [&str; 21] = [
    "analysis_limit",
    "application_id",
    "collation_list",
    "compile_options",
    "data_version",
    "defer_foreign_keys",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "foreign_keys",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "legacy_alter_table",
    "optimize",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];

/// PRAGMAs that make sense only outside a transaction.
const NON_TRANSACTIONAL_PRAGMAS: [&str; 7] = [
    "auto_vacuum",
    "cache_size",
    "incremental_vacuum",
    "journal_mode",
    "journal_size_limit",
    "page_size",
    "wal_checkpoint",
];

/// What a statement does to the main database, as SQLite's compiler tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    /// CREATE TABLE
    CreateTable(String),
    /// DROP TABLE
    DropTable(String),
    /// ALTER TABLE
    AlterTable(String),
    /// CREATE INDEX on this table
    CreateIndex(String),
    /// DROP INDEX on this table
    DropIndex(String),
    /// INSERT
    Insert(String),
    /// UPDATE of a column
    Update(String, String),
    /// DELETE that is not part of a DROP TABLE
    Delete(String),
    /// CREATE or DROP of a view or trigger of this name
    Define(String),
    /// VACUUM
    Vacuum,
}

impl Touch {
    /// The table whose rows or indexes may be others afterwards.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        match self {
            Self::CreateTable(table)
            | Self::DropTable(table)
            | Self::AlterTable(table)
            | Self::CreateIndex(table)
            | Self::DropIndex(table)
            | Self::Insert(table)
            | Self::Update(table, _)
            | Self::Delete(table) => Some(table),
            Self::Define(_) | Self::Vacuum => None,
        }
    }
}

/// What an action touches; SQLite's own tables do not count.
pub(super) fn touch(action: &Action<'_>) -> Option<Touch> {
    if action.code == sys::SQLITE_ATTACH && action.first.is_empty() {
        return Some(Touch::Vacuum);
    }
    let (first, second) = (action.first.to_owned(), action.second.to_owned());
    let (table, touch): (_, fn(String, String) -> Touch) = match action.code {
        sys::SQLITE_CREATE_TABLE | sys::SQLITE_CREATE_VTABLE => {
            (&first, |table, _| Touch::CreateTable(table))
        }
        sys::SQLITE_DROP_TABLE | sys::SQLITE_DROP_VTABLE => {
            (&first, |table, _| Touch::DropTable(table))
        }
        sys::SQLITE_CREATE_INDEX => (&second, |_, table| Touch::CreateIndex(table)),
        sys::SQLITE_DROP_INDEX => (&second, |_, table| Touch::DropIndex(table)),
        sys::SQLITE_CREATE_VIEW
        | sys::SQLITE_DROP_VIEW
        | sys::SQLITE_CREATE_TRIGGER
        | sys::SQLITE_DROP_TRIGGER => (&first, |name, _| Touch::Define(name)),
        sys::SQLITE_INSERT => (&first, |table, _| Touch::Insert(table)),
        sys::SQLITE_UPDATE => (&first, Touch::Update),
        sys::SQLITE_DELETE => (&first, |table, _| Touch::Delete(table)),
        // Its first argument is the database; there is no fourth.
        sys::SQLITE_ALTER_TABLE if first == "main" => {
            return Some(Touch::AlterTable(second));
        }
        _ => return None,
    };
    let counts = action.database == "main" && !table.starts_with("sqlite_");
    counts.then(|| touch(first.clone(), second.clone()))
}

/// Why an action is refused; `None` when it is allowed.
pub(super) fn refusal(scope: Scope, action: &Action<'_>) -> Option<String> {
    match action.code {
        sys::SQLITE_TRANSACTION if scope == Scope::Transactional => Some(format!(
            "{} is not allowed: the job runs all migrations in one transaction of its own. Remove it, or begin the file \
             with the line '-- no-transaction'",
            action.first
        )),
        sys::SQLITE_SAVEPOINT if action.second.to_ascii_lowercase().starts_with("safestep") => {
            Some("savepoints named safestep… belong to the job".into())
        }
        // VACUUM attaches a nameless temporary database for itself.
        sys::SQLITE_ATTACH if scope == Scope::NonTransactional && action.first.is_empty() => None,
        sys::SQLITE_ATTACH => {
            Some("ATTACH (and VACUUM INTO) is not allowed: a migration changes one database".into())
        }
        sys::SQLITE_PRAGMA => pragma_refusal(scope, action.first, action.second),
        sys::SQLITE_FUNCTION if action.second.eq_ignore_ascii_case("load_extension") => {
            Some("load_extension is not allowed".into())
        }
        _ if action.database.starts_with(VACUUM_DATABASE_PREFIX) => None,
        sys::SQLITE_INSERT
        | sys::SQLITE_UPDATE
        | sys::SQLITE_DELETE
        | sys::SQLITE_DROP_TABLE
        | sys::SQLITE_CREATE_TABLE
        // A name in the temporary database is what the statements of the job would find first.
        | sys::SQLITE_CREATE_TEMP_TABLE
        | sys::SQLITE_CREATE_VTABLE
        | sys::SQLITE_CREATE_VIEW
        | sys::SQLITE_CREATE_TEMP_VIEW => table_refusal(action.first),
        // Triggers and indexes on them would run with the job's own statements, when everything has been verified.
        sys::SQLITE_ALTER_TABLE
        | sys::SQLITE_CREATE_TRIGGER
        | sys::SQLITE_CREATE_TEMP_TRIGGER
        | sys::SQLITE_DROP_TRIGGER
        | sys::SQLITE_CREATE_INDEX
        | sys::SQLITE_CREATE_TEMP_INDEX
        | sys::SQLITE_DROP_INDEX => table_refusal(action.second),
        _ => None,
    }
}

fn table_refusal(table: &str) -> Option<String> {
    if HISTORY_TABLES
        .iter()
        .any(|name| name.eq_ignore_ascii_case(table))
    {
        return Some(format!(
            "the table {table} is kept by the job; remove the statement"
        ));
    }
    table
        .eq_ignore_ascii_case("sqlite_dbpage")
        .then(|| "writing pages through sqlite_dbpage is not allowed".into())
}

fn pragma_refusal(scope: Scope, name: &str, value: &str) -> Option<String> {
    let listed = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(name));
    if listed(&HARMLESS_PRAGMAS) {
        return None;
    }
    if !listed(&NON_TRANSACTIONAL_PRAGMAS) {
        return Some(format!("PRAGMA {name} is not allowed in a migration"));
    }
    if scope == Scope::Transactional {
        return Some(format!(
            "PRAGMA {name} is not allowed inside the job's transaction; put it into a file of its own that begins with the \
             line '-- no-transaction'"
        ));
    }
    let unsafe_journal = name.eq_ignore_ascii_case("journal_mode")
        && ["off", "memory"]
            .iter()
            .any(|mode| mode.eq_ignore_ascii_case(value));
    unsafe_journal.then(|| {
        format!("PRAGMA journal_mode={value} is not allowed: a crash could destroy the database")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(scope: Scope, code: i32, first: &str, second: &str) -> Option<String> {
        let database = "main";
        refusal(
            scope,
            &Action {
                code,
                first,
                second,
                database,
                within: "",
            },
        )
    }

    #[test]
    fn a_transactional_migration_may_not_end_the_transaction() {
        for word in ["BEGIN", "COMMIT", "ROLLBACK"] {
            let reason = judge(Scope::Transactional, sys::SQLITE_TRANSACTION, word, "");
            assert!(reason.is_some_and(|text| text.contains(word)));
            assert_eq!(
                judge(Scope::NonTransactional, sys::SQLITE_TRANSACTION, word, ""),
                None
            );
        }
    }

    #[test]
    fn savepoints_of_the_job_are_its_own_however_they_are_written() {
        let judged = |name| {
            judge(
                Scope::Transactional,
                sys::SQLITE_SAVEPOINT,
                "ROLLBACK",
                name,
            )
        };
        assert!(judged("safestep_job").is_some());
        assert!(judged("SAFESTEP_Job").is_some());
        assert_eq!(judged("mine"), None);
    }

    #[test]
    fn pragmas_that_outlive_the_transaction_are_refused_inside_it() {
        for name in [
            "journal_mode",
            "writable_schema",
            "locking_mode",
            "synchronous",
        ] {
            assert!(
                judge(Scope::Transactional, sys::SQLITE_PRAGMA, name, "").is_some(),
                "{name}"
            );
        }
        assert_eq!(
            judge(
                Scope::Transactional,
                sys::SQLITE_PRAGMA,
                "table_info",
                "users"
            ),
            None
        );
    }

    #[test]
    fn even_a_non_transactional_migration_may_not_give_up_the_lock_or_the_journal() {
        let scope = Scope::NonTransactional;
        assert!(judge(scope, sys::SQLITE_PRAGMA, "locking_mode", "NORMAL").is_some());
        assert!(judge(scope, sys::SQLITE_PRAGMA, "journal_mode", "OFF").is_some());
        assert_eq!(
            judge(scope, sys::SQLITE_PRAGMA, "journal_mode", "WAL"),
            None
        );
    }

    #[test]
    fn history_tables_belong_to_the_job() {
        for code in [
            sys::SQLITE_INSERT,
            sys::SQLITE_UPDATE,
            sys::SQLITE_DELETE,
            sys::SQLITE_DROP_TABLE,
            sys::SQLITE_CREATE_TEMP_TABLE,
            sys::SQLITE_CREATE_TEMP_VIEW,
        ] {
            for table in HISTORY_TABLES {
                assert!(judge(Scope::Transactional, code, table, "").is_some());
            }
            assert_eq!(judge(Scope::Transactional, code, "users", ""), None);
        }
    }

    #[test]
    fn nothing_of_a_migration_may_run_with_what_the_job_writes_into_them() {
        for code in [
            sys::SQLITE_CREATE_TRIGGER,
            sys::SQLITE_CREATE_TEMP_TRIGGER,
            sys::SQLITE_CREATE_INDEX,
        ] {
            for table in HISTORY_TABLES {
                assert!(judge(Scope::Transactional, code, "mine", table).is_some());
            }
            assert_eq!(judge(Scope::Transactional, code, "mine", "users"), None);
        }
        for code in [sys::SQLITE_CREATE_TEMP_TABLE, sys::SQLITE_CREATE_TEMP_VIEW] {
            let named = |name| judge(Scope::NonTransactional, code, name, "");
            assert!(named("Alembic_Version").is_some());
            assert_eq!(named("scratch"), None);
        }
    }
}
