//! Whole jobs beside their peers, on the same data in the same run. `docs/performance.md` says what is measured, and how.
//!
//! ```text
//! cargo bench --bench compare -- --size 10MB --size 100MB --users 100000
//! cargo bench --bench compare -- --write
//! ```
//!
//! Needs hyperfine, pigz, gzip, sqlite3 and GNU time, and two that `.ci/run` installs: `SAFESTEP_ALEMBIC` names the python of
//! a virtual environment with `tests/alembic/requirements.txt`, `SAFESTEP_SQLX` the `sqlx` program of sqlx-cli.
#![allow(clippy::print_stdout)]

#[path = "../data/mod.rs"]
mod data;
mod memory;
mod page;
mod pair;
mod rows;
mod tools;
mod world;

use std::path::{Path, PathBuf};

use clap::Parser;

use rows::Row;
use tools::Tools;
use world::World;

type Failure = Box<dyn std::error::Error>;

/// Runs whole jobs beside their peers and prints the ratios.
#[derive(Parser)]
struct Arguments {
    /// Of a database full of runs; may be given more than once. 10GB needs 70 GB of disk [default: 10MB without --users]
    #[arg(long)]
    size: Vec<String>,
    /// How many users the large table of users has; none: not measured
    #[arg(long, default_value_t = 0)]
    users: u64,
    /// How often each pair is run
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only the rows with this word in their name
    #[arg(long)]
    only: Option<String>,
    /// Where the databases are kept and worked on [default: target/compare]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Measure nothing; write what was measured last into docs/performance.md
    #[arg(long)]
    write: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn sizes(&self) -> Vec<String> {
        if self.size.is_empty() && self.users == 0 {
            return vec!["10MB".into()];
        }
        self.size.clone()
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|word| name.contains(word))
    }
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/compare");
    let results = target.join("results");
    if arguments.write {
        return page::write(&results, &Tools::find()?);
    }
    let tools = Tools::find()?;
    let folder = arguments.folder.clone().unwrap_or(target);
    for size in &arguments.sizes() {
        let world = World::of_size(&folder, &tools, size)?;
        compare(&arguments, &world, &rows::OF_SIZE, &results)?;
        if arguments.wants("memory") {
            memory::measure(&world)?.keep(&results)?;
        }
        world.clear()?;
    }
    if arguments.users > 0 {
        let world = World::of_users(&folder, &tools, arguments.users)?;
        compare(&arguments, &world, &rows::OF_USERS, &results)?;
        world.clear()?;
    }
    Ok(())
}

fn compare(
    arguments: &Arguments,
    world: &World<'_>,
    rows: &[Row],
    results: &Path,
) -> Result<(), Failure> {
    for row in rows.iter().filter(|row| arguments.wants(row.name)) {
        pair::measure(world, row, arguments.rounds)?.keep(results)?;
    }
    Ok(())
}
