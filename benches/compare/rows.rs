//! What is compared with what. The texts are for `sh -eu`; names in capitals are replaced by `Tools::expand`.

/// One side of a comparison.
pub(crate) struct Side {
    /// Before each time that it is measured.
    pub(crate) prepare: &'static str,
    /// What is measured.
    pub(crate) command: &'static str,
    /// Fails unless the end is the right one.
    pub(crate) check: &'static str,
}

/// What of a side is the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// How long it took.
    Time,
    /// The same, but of ours only what `blocked_ms` in `ours.json` says.
    Blocked,
    /// The numbers in `ours.bytes` and `theirs.bytes`.
    Bytes,
}

/// A job of ours beside that of a peer.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) at_most: Option<f64>,
    pub(crate) by: By,
    /// How often in a round; more than once only for what changes nothing.
    pub(crate) repeats: usize,
    pub(crate) setup: &'static str,
    pub(crate) ours: Side,
    pub(crate) theirs: Side,
}

const FRESH_OURS: &str = "rm -rf ours* .ours*; cp BASE ours.db; sync";
const FRESH_THEIRS: &str = "rm -rf theirs.db* theirs.copy*; cp BASE theirs.db; sync";
const RUN: &str = "SAFESTEP run --database ours.db --migrations MIGRATIONS --backups ours --output json > ours.json";
const AT_HEAD: &str = "test \"$(sqlite3 ours.db 'SELECT version_num FROM alembic_version')\" = 008_add_google_avatar
tar xOzf ours/ours/*.tar.gz ours.db > ours.unpacked
test \"$(sqlite3 ours.unpacked 'SELECT version_num FROM alembic_version')\" = 003_add_user_management_fields
rm ours.unpacked";
const THEIRS_AT_HEAD: &str = "test \"$(sqlite3 theirs.db 'SELECT version_num FROM alembic_version')\" = 008_add_google_avatar";

const BLOCKED: Row = Row {
    name: "blocked",
    what: "blocked time, 003 to 008",
    peer: "`sqlite3 .backup`, then the SQL alone",
    at_most: Some(1.15),
    by: By::Blocked,
    repeats: 1,
    setup: "",
    ours: Side {
        prepare: FRESH_OURS,
        command: RUN,
        check: AT_HEAD,
    },
    theirs: Side {
        prepare: FRESH_THEIRS,
        command: "sqlite3 theirs.db '.backup theirs.copy'; sqlite3 -bail theirs.db < 004-008.sql",
        check: "test \"$(sqlite3 theirs.db \"SELECT count(*) FROM pragma_table_info('users') WHERE name = 'avatar_url'\")\" = 1
test \"$(sqlite3 theirs.copy 'SELECT version_num FROM alembic_version')\" = 003_add_user_management_fields",
    },
};

const WHOLE: Row = Row {
    name: "whole",
    what: "whole job, 003 to 008",
    peer: "`.backup`, `pigz -6 -p 2`, `alembic upgrade head`",
    at_most: Some(0.30),
    by: By::Time,
    repeats: 1,
    setup: "",
    ours: Side {
        prepare: FRESH_OURS,
        command: RUN,
        check: AT_HEAD,
    },
    theirs: Side {
        prepare: FRESH_THEIRS,
        command: "sqlite3 theirs.db '.backup theirs.copy'; pigz -6 -p 2 theirs.copy; PYTHON -m alembic -c ALEMBIC_INI upgrade head",
        check: "gzip -t theirs.copy.gz
test \"$(sqlite3 theirs.db 'SELECT version_num FROM alembic_version')\" = 008_add_google_avatar",
    },
};

const ARCHIVE: Row = Row {
    name: "archive",
    what: "size of the archive",
    peer: "`gzip -6` of the same file",
    at_most: Some(1.08),
    by: By::Bytes,
    repeats: 1,
    setup: "",
    ours: Side {
        prepare: FRESH_OURS,
        command: "SAFESTEP run --database ours.db --migrations MIGRATIONS --backups ours; stat -c %s ours/ours/*.tar.gz > ours.bytes",
        check: AT_HEAD,
    },
    theirs: Side {
        prepare: "rm -rf theirs*.db*",
        command: "gzip -6 -c BASE | wc -c > theirs.bytes",
        check: "",
    },
};

/// `made`: a database at 008, its backup of 003, and the same of 003 as gzip has it.
const MADE: &str = "test -e made.db || {
  cp BASE made.db
  SAFESTEP run --database made.db --migrations MIGRATIONS --backups made
  gzip -6 -c BASE > made.gz
  cp BASE over.db
  sqlite3 over.db \"UPDATE pipeline_runs SET exit_code = 2\"
}";
const RESTORED: &str =
    "test \"$(sqlite3 ours.db 'SELECT version_num FROM alembic_version')\" = 003_add_user_management_fields
test \"$(sqlite3 ours.db 'SELECT count(*) FROM pipeline_runs')\" = \"$(sqlite3 BASE 'SELECT count(*) FROM pipeline_runs')\"";
const GZIP: Side = Side {
    prepare: "rm -rf theirs.db* theirs.copy*; cp over.db theirs.db; sync",
    command: "gzip -dc made.gz > theirs.part; mv theirs.part theirs.db",
    check: "cmp theirs.db BASE",
};

const RESTORE_NEW: Row = Row {
    name: "restore-new",
    what: "restore where there is no database",
    peer: "`gzip -dc`, `mv`",
    at_most: Some(0.40),
    by: By::Time,
    repeats: 1,
    setup: MADE,
    ours: Side {
        prepare: "rm -rf ours* .ours*; sync",
        command: "SAFESTEP restore made/made/*.tar.gz --yes --database ours.db --migrations MIGRATIONS --backups ours --output json > ours.json",
        check: RESTORED,
    },
    theirs: GZIP,
};

const RESTORE_OVER: Row = Row {
    name: "restore-over",
    what: "restore over a database of which every row is another",
    at_most: None,
    ours: Side {
        prepare: "rm -rf ours* .ours*; cp over.db ours.db; sync",
        command: RESTORE_NEW.ours.command,
        check: RESTORED,
    },
    ..RESTORE_NEW
};

const RESTORE_LATEST: Row = Row {
    name: "restore-latest",
    what: "`restore latest` of the job before, few pages changed",
    at_most: None,
    ours: Side {
        prepare: "rm -rf ours* .ours*; cp BASE ours.db
SAFESTEP run --database ours.db --migrations MIGRATIONS --backups ours; sync",
        command: "SAFESTEP restore latest --yes --database ours.db --migrations MIGRATIONS --backups ours --output json > ours.json",
        check: RESTORED,
    },
    ..RESTORE_NEW
};

const NOTHING_SQLX: Row = Row {
    name: "nothing-sqlx",
    what: "nothing to do",
    peer: "`sqlx migrate run`",
    at_most: Some(1.0),
    by: By::Time,
    repeats: 40,
    setup: "rm -rf ours* .ours* theirs.db* theirs.copy*; cp BASE ours.db
SAFESTEP run --database ours.db --migrations MIGRATIONS --backups ours
cp ours.db theirs.db; sync",
    ours: Side {
        prepare: "",
        command: "SAFESTEP run --database ours.db --migrations MIGRATIONS --backups ours",
        check: AT_HEAD,
    },
    theirs: Side {
        prepare: "",
        command: "SQLX migrate run --no-dotenv --database-url sqlite://theirs.db --source MIGRATIONS",
        check: THEIRS_AT_HEAD,
    },
};

const NOTHING_ALEMBIC: Row = Row {
    name: "nothing-alembic",
    peer: "`alembic upgrade head`",
    at_most: Some(0.02),
    repeats: 5,
    theirs: Side {
        prepare: "",
        command: "PYTHON -m alembic -c ALEMBIC_INI upgrade head",
        check: THEIRS_AT_HEAD,
    },
    ..NOTHING_SQLX
};

const USERS: Row = Row {
    name: "users",
    what: "whole job over a large table of users, 004 to 007",
    peer: "`alembic upgrade 007` in batch mode, no backup",
    at_most: Some(0.5),
    by: By::Time,
    repeats: 1,
    setup: "",
    ours: Side {
        prepare: FRESH_OURS,
        command: "SAFESTEP upgrade 007 --database ours.db --migrations MIGRATIONS --backups ours --output json > ours.json",
        check: "test \"$(sqlite3 ours.db 'SELECT version_num FROM alembic_version')\" = 007_drop_password_hash
tar tzf ours/ours/*.tar.gz",
    },
    theirs: Side {
        prepare: FRESH_THEIRS,
        command: "PYTHON -m alembic -c ALEMBIC_INI upgrade 007_drop_password_hash",
        check: "test \"$(sqlite3 theirs.db 'SELECT version_num FROM alembic_version')\" = 007_drop_password_hash
test \"$(sqlite3 theirs.db 'SELECT count(*) FROM users')\" = \"$(sqlite3 BASE 'SELECT count(*) FROM users')\"",
    },
};

/// Those of a database full of runs.
pub(crate) const OF_SIZE: [Row; 8] = [
    BLOCKED,
    WHOLE,
    ARCHIVE,
    RESTORE_NEW,
    RESTORE_OVER,
    RESTORE_LATEST,
    NOTHING_SQLX,
    NOTHING_ALEMBIC,
];

/// Those of a database full of users.
pub(crate) const OF_USERS: [Row; 1] = [USERS];
