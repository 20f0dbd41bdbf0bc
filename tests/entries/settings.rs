//! Settings as anybody may write them: they are refused, or they are settings with which a job can work.
//!
//! The input is parts behind lines `=== safestep.toml`, `=== database`, `=== lock_timeout`, `=== keep_last`,
//! `=== keep_within`, `=== max_total` and `=== VARIABLE`.

use std::time::Duration;

use safestep::config::{Config, Given, GivenRetention};

use super::{Folder, sections};

pub fn enter(data: &[u8]) {
    let folder = Folder::new();
    let parts = sections(data);
    let part = |name: &str| {
        let (_, bytes) = parts.iter().find(|(part, _)| part == name)?;
        Some(String::from_utf8_lossy(bytes).trim_end().to_owned())
    };
    let file = parts.iter().find(|(part, _)| part == "safestep.toml");
    let bytes = file.map_or(&[][..], |(_, bytes)| bytes);
    let given = Given {
        database: part("database"),
        config: Some(folder.write("safestep.toml", bytes)),
        lock_timeout: part("lock_timeout"),
        retention: GivenRetention {
            last: part("keep_last"),
            within: part("keep_within"),
            max_total: part("max_total"),
            ..GivenRetention::default()
        },
        ..Given::default()
    };
    if let Ok(Config { settings, .. }) = Config::resolve(&given, &part) {
        let policy = &settings.retention;
        assert!(!policy.rules().is_empty() || policy.within.is_some());
        assert!(settings.lock_timeout <= Duration::from_hours(24 * 365));
        assert!(settings.database.is_absolute(), "{settings:?}");
        assert!(settings.backups.is_absolute(), "{settings:?}");
    }
}
