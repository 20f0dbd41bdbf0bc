//! The most memory that a job has had at any time, as the kernel counts it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::world::World;

const COMMANDS: [(&str, &str); 3] = [
    (
        "run",
        "run --database ours.db --migrations MIGRATIONS --backups ours",
    ),
    (
        "nothing to do",
        "run --database ours.db --migrations MIGRATIONS --backups ours",
    ),
    (
        "restore",
        "restore latest --yes --database ours.db --migrations MIGRATIONS --backups ours",
    ),
];

/// Of one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Peaks {
    pub(crate) size: String,
    /// What was done, and the MiB.
    pub(crate) peaks: Vec<(String, f64)>,
}

/// Runs each command on the database as the one before has left it.
pub(crate) fn measure(world: &World<'_>) -> Result<Peaks, Failure> {
    world.shell("rm -rf ours* .ours*; cp BASE ours.db; sync")?;
    let mut peaks = Vec::new();
    for (name, arguments) in COMMANDS {
        let arguments = world.expand(arguments);
        let mut command = Command::new("/usr/bin/time");
        command.args(["-f", "%M", "-o", "peak"]);
        command.arg(world.expand("SAFESTEP"));
        world.run(command.args(arguments.split(' ')))?;
        let kib: f64 = fs::read_to_string(world.file("peak"))?.trim().parse()?;
        peaks.push((name.to_owned(), kib / 1024.0));
    }
    Ok(Peaks {
        size: world.size.clone(),
        peaks,
    })
}

impl Peaks {
    /// Prints it, and writes it down for the page.
    pub(crate) fn keep(&self, folder: &Path) -> Result<(), Failure> {
        for (name, mib) in &self.peaks {
            println!("peak memory of {name} at {}: {mib:.1} MiB", self.size);
        }
        let folder = folder.join("memory");
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_string_pretty(self)?;
        fs::write(folder.join(format!("{}.json", self.size)), text + "\n")?;
        Ok(())
    }
}
