//! The units of `deploy/systemd` and the line of `deploy/cron`, under a real systemd and a real cron that are booted in a container.
//!
//! Behind the feature `containers`: needs podman, root, and what `.ci/run` names in `SAFESTEP_ROOTFS` (a Debian with systemd
//! and cron, made by debootstrap) and `SAFESTEP_STATIC` (the statically linked program).
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[path = "systemd/machine.rs"]
mod machine;
mod support;

use std::fs;
use std::path::Path;

use machine::{Machine, STATE};
use support::{Sandbox, content, copy_tree};

const BROKEN: &str = "CREATE TABLE extra (n INTEGER);\nINSERT INTO nowhere VALUES (1);\n";
/// Goes on until it is interrupted, long before its last row.
const ENDLESS: &str = "CREATE TABLE grown (b BLOB);
INSERT INTO grown WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000)
SELECT zeroblob(4000) FROM n WHERE i % 100000 = 0;\n";

fn deploy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    fs::read_to_string(path).expect("a file of deploy")
}

#[test]
fn systemd_has_nothing_to_say_against_any_unit() {
    let machine = Machine::boot(&Sandbox::new());
    let verify = "systemd-analyze verify $(ls /etc/systemd/system/safestep*.service /etc/systemd/system/safestep*.timer)";
    let said = machine.sh(verify);
    assert_eq!(
        (said.code, said.stdout.as_str(), said.stderr.as_str()),
        (0, "", "")
    );
    for drop_in in ["existing-app.conf", "network.conf"] {
        machine.drop_in(
            "safestep.service",
            drop_in,
            &deploy(&format!("systemd/{drop_in}")),
        );
    }
    let said = machine.sh(verify);
    assert_eq!(
        (said.code, said.stdout.as_str(), said.stderr.as_str()),
        (0, "", "")
    );
    // And it would say it.
    machine.drop_in(
        "safestep.service",
        "wrong.conf",
        "[Service]\nProtectSistem=strict\n",
    );
    assert!(machine.sh(verify).stderr.contains("ProtectSistem"));
}

#[test]
fn the_services_are_hardened() {
    let machine = Machine::boot(&Sandbox::new());
    // In tenths: from 0 to 2 it is "OK" or better, as systemd-analyze says it.
    let judge = "for unit in /etc/systemd/system/safestep.service $(ls /etc/systemd/system/safestep-daemon.service 2>/dev/null); do \
        systemd-analyze security --offline=true --no-pager --threshold=20 $unit || exit; done";
    let said = machine.sh(judge);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    println!(
        "{}",
        said.stdout
            .lines()
            .filter(|line| line.contains("Overall"))
            .collect::<String>()
    );
    machine.must(
        "sed -i '/^Protect/d;/^Private/d;/^Restrict[A-Z]/d' /etc/systemd/system/safestep.service",
    );
    assert_ne!(
        machine.sh(judge).code,
        0,
        "a unit without protection passes"
    );
}

#[test]
fn the_timer_comes_every_sunday_at_three_in_berlin_in_summer_and_winter() {
    let machine = Machine::boot(&Sandbox::new());
    let timer = deploy("systemd/safestep.timer");
    let calendar = timer
        .lines()
        .find_map(|line| line.strip_prefix("OnCalendar="))
        .expect("OnCalendar");
    // The days on which Berlin's clocks change, and the Sundays beside them.
    let next = machine.must(&format!(
        "systemd-analyze calendar --base-time='2026-10-20' --iterations=2 '{calendar}'; \
         systemd-analyze calendar --base-time='2027-03-25' --iterations=2 '{calendar}'"
    ));
    for time in [
        "2026-10-25 02:00:00 UTC",
        "2026-11-01 02:00:00 UTC",
        "2027-03-28 01:00:00 UTC",
        "2027-04-04 01:00:00 UTC",
    ] {
        assert!(next.contains(time), "{time}: {next}");
    }
    let wrong = format!(
        "systemd-analyze calendar '{}'",
        calendar.replace("Berlin", "Nowhere")
    );
    assert_ne!(machine.sh(&wrong).code, 0);
}

#[test]
fn the_timer_fires_and_the_job_migrates_as_a_dynamic_user_in_its_state_directory() {
    let machine = Machine::boot(&Sandbox::at("003"));
    machine.drop_in(
        "safestep.timer",
        "now.conf",
        "[Timer]\nOnCalendar=\nOnActiveSec=100ms\nRandomizedDelaySec=0\nAccuracySec=1ms\n",
    );
    machine.must("systemctl start safestep.timer");
    machine.wait_for(
        "the job to end well",
        "systemctl show safestep.service",
        |show| {
            show.contains("Result=success")
                && show.contains("ActiveState=inactive")
                && !show.contains("ExecMainExitTimestampMonotonic=0")
        },
    );
    assert_eq!(machine.revision(), "008");
    let user: u32 = machine
        .must(&format!("stat -c %u {STATE}/fastflow.db"))
        .parse()
        .unwrap();
    assert!((61184..=65519).contains(&user), "a dynamic user: {user}");
    let modes = machine.must(&format!(
        "stat -L -c %a {STATE} {STATE}/backups/fastflow {STATE}/backups/fastflow/*.tar.gz"
    ));
    assert_eq!(
        modes.split_whitespace().collect::<Vec<_>>(),
        ["700", "700", "600"]
    );
    assert!(
        machine
            .must("journalctl -u safestep.service -o cat")
            .contains("went from 003 to 008")
    );
    assert_eq!(machine.mails(), Vec::<String>::new());
}

#[test]
fn a_failure_is_in_the_units_status_with_its_reason_and_the_next_step_and_a_person_is_told() {
    let sandbox = Sandbox::at("003");
    sandbox.add_migration("009_broken", BROKEN);
    let before = content(&sandbox.database());
    let machine = Machine::boot(&sandbox);
    assert_ne!(machine.sh("systemctl start safestep.service").code, 0);
    let status = machine
        .sh("systemctl status --full --no-pager safestep.service")
        .stdout;
    for word in [
        "status=5",
        "009_broken.up.sql failed at statement 2, line 2: no such table: nowhere",
        "state: The database is as it was before (revision 003)",
        "next: Correct ",
    ] {
        assert!(status.contains(word), "{word}: {status}");
    }
    assert_eq!(machine.show("safestep.service", "NRestarts"), "0");
    let mails = machine.wait_for("a mail", "cat /mails/*", |mails| {
        mails.contains("next: Correct ")
    });
    assert!(
        mails.contains("Subject: safestep.service failed on "),
        "{mails}"
    );
    machine.take(&format!("{STATE}/fastflow.db"), &sandbox.path("after.db"));
    assert_eq!(content(&sandbox.path("after.db")), before);
}

#[test]
fn a_job_that_is_locked_out_is_tried_again_until_it_succeeds() {
    let machine = Machine::boot(&Sandbox::at("003"));
    machine.drop_in(
        "safestep.service",
        "soon.conf",
        "[Service]\nEnvironment=SAFESTEP_LOCK_TIMEOUT=100ms\nRestartSec=100ms\n[Unit]\nStartLimitBurst=1000\n",
    );
    // As another job would hold it.
    machine.must(&format!(
        "systemd-run --unit=holder flock --no-fork {STATE}/.fastflow.db.safestep-lock sleep infinity"
    ));
    machine.wait_for("the lock", "cat /proc/locks", |locks| {
        locks.contains("FLOCK")
    });
    machine.must("systemctl start --no-block safestep.service");
    machine.wait_for(
        "a second try",
        "systemctl show -p NRestarts safestep.service",
        |show| show.trim() != "NRestarts=0",
    );
    let said = machine.must("journalctl -u safestep.service -o cat");
    assert!(said.contains("status=75"), "{said}");
    machine.must("systemctl stop holder.service");
    machine.wait_for("success", "systemctl show safestep.service", |show| {
        show.contains("Result=success") && show.contains("ActiveState=inactive")
    });
    assert_eq!(machine.revision(), "008");
    assert_eq!(machine.mails(), Vec::<String>::new());
}

#[test]
fn a_job_that_is_stopped_in_the_middle_of_a_migration_rolls_back_and_is_no_success() {
    let sandbox = Sandbox::at("003");
    sandbox.add_migration("009_endless", ENDLESS);
    let before = content(&sandbox.database());
    let machine = Machine::boot(&sandbox);
    machine.must("systemctl start --no-block safestep.service");
    machine.wait_for(
        "the migration writes",
        &format!("stat -c %s {STATE}/fastflow.db-journal"),
        |size| size.trim().parse::<u64>().is_ok_and(|size| size > 0),
    );
    machine.must("systemctl stop safestep.service");
    assert_eq!(machine.show("safestep.service", "ExecMainStatus"), "143");
    assert_eq!(machine.show("safestep.service", "ActiveState"), "failed");
    machine.take(&format!("{STATE}/fastflow.db"), &sandbox.path("after.db"));
    assert_eq!(content(&sandbox.path("after.db")), before);
}

#[test]
fn with_the_drop_in_the_job_runs_as_the_applications_user_on_its_own_folders() {
    let sandbox = Sandbox::at("003");
    let machine = Machine::boot(&sandbox);
    machine.drop_in(
        "safestep.service",
        "existing-app.conf",
        &deploy("systemd/existing-app.conf"),
    );
    machine.application("fastflow", "/srv/fastflow");
    let said = machine.sh("systemctl start safestep.service");
    assert_eq!(
        said.code,
        0,
        "{}",
        machine
            .sh("systemctl status --full --no-pager safestep.service")
            .stdout
    );
    assert_eq!(
        machine.must("ls /srv/fastflow/backups/fastflow/*.tar.gz | wc -l"),
        "1"
    );
    let owners =
        machine.must("find /srv/fastflow/data /srv/fastflow/backups -printf '%u\\n' | sort -u");
    assert_eq!(owners, "fastflow");
}

#[test]
fn cron_mails_what_a_job_said_that_failed_and_nothing_of_one_that_went_well() {
    let sandbox = Sandbox::at("003");
    let machine = Machine::boot(&sandbox);
    let line = deploy("cron/safestep.cron");
    let now = line.replace("\n0 3 * * 0 ", "\n* * * * * ");
    assert_ne!(line, now, "the line begins with its time");
    machine.application("fastflow", "/srv/fastflow");
    machine.application("broken", "/srv/broken");
    copy_tree(&sandbox.migrations(), &sandbox.path("wrong"));
    fs::write(sandbox.path("wrong/009_broken.up.sql"), BROKEN).unwrap();
    fs::write(sandbox.path("wrong/009_broken.down.sql"), "SELECT 1;\n").unwrap();
    machine.must("rm -r /srv/broken/migrations; cp -r /host/wrong /srv/broken/migrations");
    machine.write("/etc/cron.d/safestep", &now);
    let other = now
        .replace(" fastflow ", " broken ")
        .replace("/srv/fastflow", "/srv/broken");
    machine.write("/etc/cron.d/safestep-broken", &other);
    machine.must("chmod 644 /etc/cron.d/safestep*");
    machine.must("systemctl start cron.service");
    machine.wait_for(
        "cron's next minute",
        "cat /mails/*; ls /srv/fastflow/backups/fastflow",
        |said| said.contains("exit code 5") && said.contains(".tar.gz"),
    );
    machine.wait_for(
        "the end of the good one",
        "cd /srv/fastflow && /usr/local/bin/safestep current",
        |said| said.contains("008"),
    );
    let mails = machine.mails();
    assert!(!mails.is_empty());
    for mail in mails {
        for word in [
            "To: root",
            "/srv/broken",
            "no such table: nowhere",
            "state: ",
            "next: ",
        ] {
            assert!(mail.contains(word), "{word}: {mail}");
        }
    }
}
