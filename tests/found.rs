//! Seeds of fuzzing and what it found, kept as tests: each goes through the same entry as in `fuzz/`.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

mod entries;

use std::fs;
use std::path::Path;

/// Every file of the folder of a target: seeds, and what was found.
fn replay(target: &str, enter: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inputs = fs::read_dir(root.join("tests/found").join(target)).expect("a folder");
    let mut count = 0;
    for entry in inputs {
        let path = entry.expect("entry").path();
        println!("{}", path.display());
        enter(&fs::read(&path).expect("an input"));
        count += 1;
    }
    assert!(count > 0, "there are inputs for {target}");
}

#[test]
fn an_archive_is_refused_or_is_what_its_manifest_says() {
    replay("archive", entries::archive::enter);
}

#[test]
fn enums_toml_is_refused_or_right_the_second_time() {
    replay("enums", entries::enums::enter);
}

#[test]
fn names_literals_and_declarations_mean_what_was_written() {
    replay("grammar", entries::grammar::enter);
}

#[test]
fn a_folder_of_migrations_is_refused_or_read_as_sqlx_reads_it() {
    replay("migrations", entries::migrations::enter);
}

#[test]
fn a_job_record_is_refused_or_stays_in_its_folder() {
    replay("records", entries::records::enter);
}

#[test]
fn a_revision_argument_is_refused_or_is_a_revision_of_the_folder() {
    replay("revisions", entries::revisions::enter);
}

#[test]
fn a_drafted_migration_leads_to_the_other_schema_and_back() {
    replay("schemas", entries::schemas::enter);
}

#[test]
fn a_script_stays_in_its_transaction_and_leaves_the_history_alone() {
    replay("script", entries::script::enter);
}

#[test]
fn settings_are_refused_or_such_that_a_job_can_work() {
    replay("settings", entries::settings::enter);
}
