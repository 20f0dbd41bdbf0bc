//! safestep moves a SQLite database from one schema revision to another, backup first.
//!
//! The order of the modules is the layering: a module uses only those declared
//! above it (`tests/architecture.rs` holds that). Nothing in here prints or exits.
#![cfg_attr(not(test), deny(unsafe_code))]

pub mod clock;
pub mod error;
pub mod monitor;
pub mod storage;
pub mod sqlite;
pub mod migration;
pub mod schema;
pub mod history;
pub mod enums;
pub mod verify;
pub mod archive;
pub mod catalog;
pub mod snapshot;
pub mod migrator;
pub mod restore;
pub mod job;
pub mod config;
pub mod cli;
pub mod report;
pub mod progress;
pub mod logging;
pub mod command;
pub mod app;
