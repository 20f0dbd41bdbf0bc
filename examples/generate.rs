//! Makes a database like those of Fast-Flow, to measure or to try things on. See `docs/performance.md`.
//!
//! ```text
//! cargo run --release --example generate -- --size 1GB 003.db
//! cargo run --release --example generate -- --size 0 --users 5000000 --revision 004 users.db
//! ```

#[path = "../benches/data/mod.rs"]
mod data;

use std::path::PathBuf;

use clap::Parser;

/// Makes a database like those of Fast-Flow; the same arguments give the same content.
#[derive(Parser)]
struct Arguments {
    /// The file, which must not exist yet
    database: PathBuf,
    /// Filled up with runs until the file is so large
    #[arg(long, default_value = "10MB", value_parser = data::bytes)]
    size: u64,
    /// At which revision
    #[arg(long, default_value = "003")]
    revision: String,
    /// How many users, with a session each
    #[arg(long, default_value_t = 3000)]
    users: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments {
        database,
        size,
        revision,
        users,
    } = Arguments::parse();
    let request = data::Request {
        revision,
        bytes: size,
        users,
    };
    data::generate(&database, &request)
}
