//! The tables of `docs/performance.md`.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::Failure;
use crate::data;
use crate::memory::Peaks;
use crate::pair::{Measured, median};
use crate::rows;
use crate::tools::Tools;

const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// Writes what was measured last into the page.
pub(crate) fn write(results: &Path, tools: &Tools) -> Result<(), Failure> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page
        .split_once(BEGIN)
        .ok_or("the page has no mark of the beginning")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("the page has no mark of the end")?;
    let measured: Vec<Measured> = read(results)?;
    let figures = [
        machine(tools)?,
        ratios(&measured),
        memory(read(&results.join("memory"))?),
        commands(&measured),
    ];
    fs::write(
        path,
        format!("{before}{BEGIN}\n\n{}\n{END}{after}", figures.join("\n")),
    )?;
    Ok(())
}

fn read<T: DeserializeOwned>(folder: &Path) -> Result<Vec<T>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            found.push(serde_json::from_slice(&fs::read(path)?)?);
        }
    }
    Ok(found)
}

/// On what, and with what.
fn machine(tools: &Tools) -> Result<String, Failure> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "));
    let cores = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{cores} cores of {}, Linux {}. {}.\n",
        model.unwrap_or("an unknown CPU"),
        kernel.trim(),
        tools.versions()?.join(" · ")
    ))
}

fn ratios(measured: &[Measured]) -> String {
    let mut text = String::from(
        "| what | size | safestep | peer | peer's | ratio (lowest-highest) | at most |\n|---|---|---|---|---|---|---|\n",
    );
    for row in sorted(measured) {
        let [least, ratio, most] = row.ratios();
        let ratio = if row.ours.len() > 1 {
            format!("**{ratio:.3}** ({least:.3}-{most:.3})")
        } else {
            format!("**{ratio:.3}**")
        };
        let at_most = row
            .at_most
            .map_or(String::new(), |limit| format!("{limit:.2}"));
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {ratio} | {at_most} |\n",
            row.what,
            row.size,
            figure(&row.ours, &row.unit),
            row.peer,
            figure(&row.theirs, &row.unit),
        ));
    }
    text
}

/// In the order of the rows, each from small to large.
fn sorted(measured: &[Measured]) -> Vec<&Measured> {
    let names: Vec<&str> = rows::OF_SIZE
        .iter()
        .chain(&rows::OF_USERS)
        .map(|row| row.name)
        .collect();
    let mut rows: Vec<&Measured> = measured.iter().collect();
    rows.sort_by_key(|row| {
        let place = names.iter().position(|name| *name == row.name);
        (place, data::bytes(&row.size).ok())
    });
    rows
}

fn figure(figures: &[f64], unit: &str) -> String {
    let value = median(&mut figures.to_vec());
    match unit {
        "bytes" => format!("{:.1} MB", value / 1e6),
        _ if value < 1000.0 => format!("{value:.1} ms"),
        _ => format!("{:.2} s", value / 1e3),
    }
}

fn memory(mut peaks: Vec<Peaks>) -> String {
    peaks.sort_by_key(|peaks| data::bytes(&peaks.size).ok());
    let mut text = String::from("| peak memory, MiB | at most 64 |\n|---|---|\n");
    for peaks in peaks {
        let words: Vec<String> = peaks
            .peaks
            .iter()
            .map(|(name, mib)| format!("{name} {mib:.1}"))
            .collect();
        text.push_str(&format!("| {} | {} |\n", peaks.size, words.join(", ")));
    }
    text
}

/// What was run, and how to run it again.
fn commands(measured: &[Measured]) -> String {
    let mut text = String::from("| what | both sides | again |\n|---|---|---|\n");
    let mut rows = sorted(measured);
    rows.dedup_by_key(|row| &row.name);
    for row in rows {
        text.push_str(&format!(
            "| {} | `{}` beside `{}` | `{}` |\n",
            row.what,
            cell(&row.our_command),
            cell(&row.their_command),
            row.again
        ));
    }
    text
}

/// In one line, and without what ends a cell.
fn cell(text: &str) -> String {
    text.replace('\n', "; ").replace('|', "\\|")
}
