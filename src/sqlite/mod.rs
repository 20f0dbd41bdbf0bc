//! SQLite: connections, locks, the online backup, pages, and running scripts.
//!
//! Knows nothing of migrations, revisions or backups folders. All FFI and all
//! `unsafe` is in `ffi`.

mod authorizer;
mod backup;
mod connection;
mod ffi;
mod inspect;
mod interrupt;
mod pages;
mod script;
mod transaction;

pub use authorizer::{Scope, Touch};
pub use backup::{Settled, copy, copy_followed};
pub(crate) use connection::failure_of;
pub use connection::{Access, Connection};
pub use inspect::{
    Depth, FileFacts, OF_APPLICATION, check, check_table, has_table, quoted, require_database,
    sqlite_version,
};
pub use interrupt::Interrupt;
pub use pages::{
    ContentDigest, Layout, PagesWritten, available as pages_available, digest_file, digest_live,
    first_page_of_copy, hex, live_layout, mark_rollback_journal, mark_wal, restore_pages,
};
pub use script::{Ran, ScriptDone, ScriptFailure, Walk, excerpt, run_script, run_watched};
pub use transaction::{Begin, begin, begin_reading, commit, enter_wal, leave_wal, rollback};
