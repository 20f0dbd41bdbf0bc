//! Guarantee 5, point by point: the real program is killed at every place where stopping means something of its own,
//! as often as it comes by there, and started again.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub
)]

#[path = "faults/engine.rs"]
mod engine;
#[path = "faults/scenarios.rs"]
mod scenarios;
mod support;

use std::collections::BTreeSet;

use safestep::fault::Point;
use support::drill::Mode::{Delete, Wal};

/// A test for each scenario, and the list of all.
macro_rules! scenarios {
    ($($test:ident => $make:expr;)*) => {
        $(#[test]
        fn $test() {
            $make.sweep();
        })*

        #[test]
        fn every_point_is_reached_by_a_scenario() {
            let mut missed: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
            $(for stop in $make.trace() {
                missed.remove(stop.point.as_str());
            })*
            assert_eq!(missed, BTreeSet::new());
        }
    };
}

scenarios! {
    upgrade_in_delete_mode => scenarios::upgrade(Delete);
    upgrade_in_wal_mode => scenarios::upgrade(Wal);
    upgrade_of_a_fresh_database => scenarios::fresh();
    upgrade_with_a_large_wal => scenarios::large_wal();
    upgrade_that_fails => scenarios::failing(Delete);
    upgrade_that_fails_in_wal_mode => scenarios::failing(Wal);
    upgrade_with_many_backups => scenarios::pruning();
    downgrade_in_delete_mode => scenarios::downgrade(Delete);
    downgrade_in_wal_mode => scenarios::downgrade(Wal);
    steps_in_delete_mode => scenarios::steps(Delete);
    steps_in_wal_mode => scenarios::steps(Wal);
    steps_that_enter_wal_mode => scenarios::journal_mode(Delete);
    steps_that_leave_wal_mode => scenarios::journal_mode(Wal);
    steps_that_fail => scenarios::failing_steps(Delete);
    steps_that_fail_in_wal_mode => scenarios::failing_steps(Wal);
    restore_in_delete_mode => scenarios::restore(Delete);
    restore_in_wal_mode => scenarios::restore(Wal);
    restore_and_then_a_backup => scenarios::restore_then_backup();
    restore_of_a_larger_database => scenarios::restore_larger();
    restore_of_another_page_size => scenarios::restore_page_size(Delete);
    restore_of_another_page_size_in_wal_mode => scenarios::restore_page_size(Wal);
    restore_of_a_missing_file => scenarios::restore_missing();
    restore_over_a_damaged_file => scenarios::restore_damaged();
    restore_over_a_job_cut_short => scenarios::restore_halfway();
    recovery_in_delete_mode => scenarios::recovery(Delete);
    recovery_in_wal_mode => scenarios::recovery(Wal);
    recovery_of_a_job_whose_migration_is_gone => scenarios::withdrawn();
    backup_in_delete_mode => scenarios::backup(Delete);
    backup_in_wal_mode => scenarios::backup(Wal);
    creation => scenarios::creation();
    creation_in_steps => scenarios::creation_in_steps();
    upgrade_with_encrypted_backups => scenarios::encrypted(Delete);
    upgrade_with_encrypted_backups_in_wal_mode => scenarios::encrypted(Wal);
    upgrade_with_many_encrypted_backups => scenarios::encrypted_pruning();
    steps_with_encrypted_backups => scenarios::encrypted_steps();
    restore_of_an_encrypted_backup => scenarios::encrypted_restore();
    upgrade_with_copies_off_site => scenarios::copied(Delete);
    upgrade_with_copies_off_site_in_wal_mode => scenarios::copied(Wal);
    upgrade_with_a_required_copy => scenarios::copied_before(Delete);
    upgrade_with_a_required_copy_in_wal_mode => scenarios::copied_before(Wal);
    steps_with_a_required_copy => scenarios::copied_before_steps();
    upgrade_with_many_copies => scenarios::copies_pruned();
    restore_of_a_copy => scenarios::restore_of_a_copy();
    stamp => scenarios::stamp();
    repair => scenarios::repair();
}

/// Kills of the next start, too: in full every one, else the points of each once.
#[test]
fn upgrade_killed_twice() {
    scenarios::upgrade(Wal).sweep_twice();
}

#[test]
fn steps_killed_twice() {
    scenarios::steps(Delete).sweep_twice();
}
