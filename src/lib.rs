//! safestep moves a SQLite database from one schema revision to another, backup first.
//!
//! The order of the modules is the layering: a module uses only those declared
//! above it (`tests/architecture.rs` holds that). Nothing in here exits, and only
//! `app` is given a stream to print to. `docs/design.md` is the map.
#![cfg_attr(not(test), deny(unsafe_code))]

// Ground.
pub mod error;
pub mod clock;
pub mod fault;
pub mod monitor;
pub mod storage;
pub mod sqlite;
pub mod beside;
pub mod http;
pub mod encryption;
pub mod archive;
pub mod grammar;

// What a database should be, and what it is.
pub mod migration;
pub mod schema;
pub mod history;
pub mod enums;
pub mod verify;
pub mod autogenerate;
pub mod authoring;

// Copies, changes, and the way back.
pub mod retention;
pub mod catalog;
pub mod offsite;
pub mod snapshot;
pub mod migrator;
pub mod forecast;
pub mod offline;
pub mod restore;

// The only module that knows the order of things.
pub mod job;

// Many databases, a job each.
pub mod fleet;

// What others hear of it.
pub mod logging;
pub mod metrics;
pub mod notify;

// The jobs at their times.
pub mod daemon;

// The command line.
pub mod config;
pub mod cli;
pub mod report;
pub mod progress;
pub mod command;
pub mod telling;
pub mod app;
