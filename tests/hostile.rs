//! Input that is broken or meant to do harm: every byte of an archive, every kind of thing at every path. The exit code and the
//! words of each case are frozen under `tests/hostile/expected`; `SAFESTEP_TEST_BLESS=1` writes them anew, to be read.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]
// Lists of cases are long, and each case is a few words and a closure.
#![allow(
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::semicolon_if_nothing_returned
)]

#[path = "hostile/archives.rs"]
mod archives;
#[path = "hostile/configuration.rs"]
mod configuration;
#[path = "hostile/damage.rs"]
mod damage;
#[path = "hostile/databases.rs"]
mod databases;
#[path = "hostile/folder.rs"]
mod folder;
#[path = "hostile/golden.rs"]
#[allow(unreachable_pub)]
mod golden;
#[path = "hostile/migrations.rs"]
mod migrations;
mod support;
#[path = "hostile/trial.rs"]
#[allow(unreachable_pub)]
mod trial;
