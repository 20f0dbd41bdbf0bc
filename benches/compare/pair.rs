//! Two jobs in turn, round by round, each measured by hyperfine.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;
use crate::rows::{By, Row, Side};
use crate::world::World;

/// What came of a row: a figure of each side for every round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) size: String,
    pub(crate) peer: String,
    pub(crate) at_most: Option<f64>,
    pub(crate) unit: String,
    pub(crate) ours: Vec<f64>,
    pub(crate) theirs: Vec<f64>,
    pub(crate) our_command: String,
    pub(crate) their_command: String,
    pub(crate) again: String,
    /// What our report tells of the last round beside the figure.
    pub(crate) phases: String,
}

impl Measured {
    /// Of the ratios of the pairs: the smallest, the median, the largest.
    pub(crate) fn ratios(&self) -> [f64; 3] {
        let pairs = self.ours.iter().zip(&self.theirs);
        let mut ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        let median = median(&mut ratios);
        [ratios[0], median, ratios[ratios.len() - 1]]
    }

    /// Prints it, and writes it down for the page.
    pub(crate) fn keep(&self, folder: &Path) -> Result<(), Failure> {
        let [least, ratio, most] = self.ratios();
        println!(
            "{} at {}: {ratio:.3} of {} ({least:.3}-{most:.3}); {}",
            self.what, self.size, self.peer, self.phases
        );
        fs::create_dir_all(folder)?;
        let file = format!("{}-{}.json", self.name, self.size.replace(' ', "-"));
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(folder.join(file), text)?;
        Ok(())
    }
}

/// Sorts, and tells the one in the middle.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 {
        return figures[middle];
    }
    f64::midpoint(figures[middle - 1], figures[middle])
}

/// Runs a row, and looks at what each side has left behind.
pub(crate) fn measure(world: &World<'_>, row: &Row, rounds: usize) -> Result<Measured, Failure> {
    world.shell(row.setup)?;
    for (side, name) in [(&row.ours, "ours"), (&row.theirs, "theirs")] {
        for (text, kind) in [(side.prepare, "prepare"), (side.command, "command")] {
            let path = world.file(&format!("{kind}.{name}.sh"));
            fs::write(path, world.expand(text))?;
        }
    }
    let rounds = if row.by == By::Bytes { 1 } else { rounds };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let [our, their] = pair(world, row, round % 2 == 1)?;
        ours.push(our);
        theirs.push(their);
        for side in [&row.ours, &row.theirs] {
            world.shell(side.check)?;
        }
    }
    Ok(Measured {
        name: row.name.into(),
        what: row.what.into(),
        size: world.size.clone(),
        peer: row.peer.into(),
        at_most: row.at_most,
        unit: if row.by == By::Bytes { "bytes" } else { "ms" }.into(),
        ours,
        theirs,
        our_command: row.ours.command.into(),
        their_command: row.theirs.command.into(),
        again: again(world, row),
        phases: phases(world)?,
    })
}

fn again(world: &World<'_>, row: &Row) -> String {
    let size = match world.size.strip_suffix(" users") {
        Some(users) => format!("--users {users}"),
        None => format!("--size {}", world.size),
    };
    format!("cargo bench --bench compare -- {size} --only {}", row.name)
}

/// Both sides once; who begins changes from round to round.
fn pair(world: &World<'_>, row: &Row, turned: bool) -> Result<[f64; 2], Failure> {
    let mut sides = [(&row.ours, "ours"), (&row.theirs, "theirs")];
    if turned {
        sides.reverse();
    }
    let mut hyperfine = Command::new("hyperfine");
    let runs = row.repeats.to_string();
    hyperfine.args([
        "--shell=none",
        "--runs",
        &runs,
        "--export-json",
        "times.json",
    ]);
    if row.repeats > 1 {
        hyperfine.args(["--warmup", "3"]);
    }
    for (side, name) in sides {
        hyperfine.args(["--prepare", &format!("sh -eu prepare.{name}.sh")]);
        hyperfine.arg(command_line(world, row, side, name));
    }
    world.run(&mut hyperfine)?;
    let times = read(world, "times.json")?;
    let of = |index: usize| {
        let seconds = times["results"][index]["median"].as_f64();
        seconds
            .map(|seconds| seconds * 1000.0)
            .ok_or("hyperfine wrote no median")
    };
    let mut measured = [of(0)?, of(1)?];
    if turned {
        measured.reverse();
    }
    match row.by {
        By::Time => {}
        By::Blocked => measured[0] = number(&read(world, "ours.json")?["blocked_ms"])?,
        By::Bytes => {
            measured = [
                number(&read(world, "ours.bytes")?)?,
                number(&read(world, "theirs.bytes")?)?,
            ];
        }
    }
    Ok(measured)
}

/// What takes a few milliseconds is measured without a shell around it.
fn command_line(world: &World<'_>, row: &Row, side: &Side, name: &str) -> String {
    if row.repeats > 1 {
        return world.expand(side.command);
    }
    format!("sh -eu command.{name}.sh")
}

fn read(world: &World<'_>, name: &str) -> Result<Value, Failure> {
    Ok(serde_json::from_slice(&fs::read(world.file(name))?)?)
}

fn number(value: &Value) -> Result<f64, Failure> {
    value
        .as_f64()
        .ok_or_else(|| format!("{value} is no number").into())
}

/// The phases of our report, where the row has one.
fn phases(world: &World<'_>) -> Result<String, Failure> {
    if !world.file("ours.json").try_exists()? {
        return Ok(String::new());
    }
    let report = read(world, "ours.json")?;
    let phases = report["phases"].as_array().into_iter().flatten();
    let words: Vec<String> = phases
        .map(|phase| format!("{} {}", phase["name"].as_str().unwrap_or("?"), phase["ms"]))
        .collect();
    Ok(format!(
        "blocked {} ms; {}",
        report["blocked_ms"],
        words.join(", ")
    ))
}
