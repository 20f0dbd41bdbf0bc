//! From what was typed to the settings that it gives.

use crate::cli::{Backups, Cli, Command, Limit, Many, Retention, Times, Which};
use crate::config::{
    Given, GivenDaemon, GivenKeys, GivenMany, GivenOffsite, GivenRetention, GivenTimes,
};

/// What the command line says of the settings.
#[must_use]
pub fn given(cli: &Cli) -> Given {
    let global = &cli.global;
    Given {
        database: global.database.clone(),
        migrations: global.migrations.clone(),
        backups: global.backups.clone(),
        config: global.config.clone(),
        lock_timeout: global.lock_timeout.clone(),
        retention: given_retention(&global.retention),
        verify: global.verify.clone(),
        compression: global.compression.clone(),
        keys: GivenKeys {
            recipients_file: global.recipients_file.clone(),
            identity_file: global.identity_file.clone(),
            passphrase_file: global.passphrase_file.clone(),
        },
        log_dir: global.log_dir.clone(),
        metrics_file: global.metrics_file.clone(),
        pushgateway: global.pushgateway.clone(),
        create_if_missing: creates(&cli.command),
        before: which(&cli.command).and_then(|which| which.before.clone()),
        offsite: GivenOffsite {
            url: global.offsite.clone(),
            required: global.offsite_required,
            timeout: global.offsite_timeout.clone(),
        },
        daemon: given_daemon(&cli.command),
        times: given_times(&cli.command),
        many: given_many(&cli.command),
    }
}

fn given_retention(typed: &Retention) -> GivenRetention {
    GivenRetention {
        last: typed.keep_last.clone(),
        hourly: typed.keep_hourly.clone(),
        daily: typed.keep_daily.clone(),
        weekly: typed.keep_weekly.clone(),
        monthly: typed.keep_monthly.clone(),
        yearly: typed.keep_yearly.clone(),
        within: typed.keep_within.clone(),
        max_total: typed.max_total.clone(),
    }
}

fn given_times(command: &Command) -> GivenTimes {
    let limit = limit(command);
    let given = times(command).map(|times| GivenTimes {
        window: times.window.clone(),
        timezone: times.timezone.clone(),
        wait: times.wait,
        start_anyway: times.start_anyway,
        deadline: times.limit.deadline.clone(),
    });
    given.unwrap_or_else(|| GivenTimes {
        deadline: limit.and_then(|limit| limit.deadline.clone()),
        ..GivenTimes::default()
    })
}

fn given_many(command: &Command) -> Option<GivenMany> {
    many(command).map(|many| GivenMany {
        all: many.all.clone(),
        jobs: many.jobs.clone(),
        max_failures: many.max_failures.clone(),
        shard: many.shard.clone(),
        shards: many.shards.clone(),
    })
}

/// What is asked for as to many databases, where the verb can be run on many.
fn many(command: &Command) -> Option<&Many> {
    match command {
        Command::Run { create, many } | Command::Upgrade { create, many, .. } => {
            (!create.sql).then_some(many)
        }
        Command::Downgrade { sql, many, .. } => (!sql).then_some(many),
        Command::Backup(many) => Some(many),
        _ => None,
    }
}

/// What is asked for of the daemon, where it is the daemon that is started.
fn given_daemon(command: &Command) -> Option<GivenDaemon> {
    let Command::Daemon(daemon) = command else {
        return None;
    };
    Some(GivenDaemon {
        run: daemon.run_at.clone(),
        backup: daemon.backup_at.clone(),
        verify: daemon.verify_at.clone(),
        prune: daemon.prune_at.clone(),
        missed: daemon.missed.clone(),
        listen: daemon.listen.clone(),
    })
}

/// What bounds the time of a verb that migrates, or of a plan of it.
fn times(command: &Command) -> Option<&Times> {
    match command {
        Command::Run { create, .. } | Command::Upgrade { create, .. } => Some(&create.times),
        Command::Downgrade { times, .. } | Command::Plan { times, .. } => Some(times),
        Command::Daemon(daemon) => Some(&daemon.times),
        _ => None,
    }
}

/// The deadline of a verb that can have one.
pub(super) fn limit(command: &Command) -> Option<&Limit> {
    match command {
        Command::Restore { limit, .. } => Some(limit),
        // It only looks; each of its jobs has one of its own.
        Command::Plan { .. } | Command::Daemon(_) => None,
        command => times(command).map(|times| &times.limit),
    }
}

/// Which backups a verb is to choose among.
fn which(command: &Command) -> Option<&Which> {
    match command {
        Command::Restore { which, .. }
        | Command::Backups(Backups::List { which, .. } | Backups::Show { which, .. }) => {
            Some(which)
        }
        _ => None,
    }
}

/// Whether the verb may make a missing database.
fn creates(command: &Command) -> bool {
    match command {
        Command::Run { create, .. } | Command::Upgrade { create, .. } => create.create_if_missing,
        Command::Daemon(daemon) => daemon.create_if_missing,
        _ => false,
    }
}
