//! `docs/reliability.md`: its tables are what the tests recorded, and every guarantee names the tests that hold it.
//!
//! After a full run, `SAFESTEP_TEST_BLESS=1 cargo test --test reliability` writes the tables anew from the recorded rows.
#![allow(clippy::expect_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::evidence::rows;
use support::files_ending;

/// Behind the number of a row that was not run in full.
const PART: &str = ", a part";
const BEGIN: &str = "<!-- rows: begin -->";
const END: &str = "<!-- rows: end -->";
/// The sections in which faults are injected, in the order of the page.
const INJECTING: [&str; 8] = [
    "Every stop",
    "Kills at random moments",
    "Every syscall",
    "Power cut",
    "Full disk",
    "Crowds",
    "Crash loops",
    "Hostile input",
];
/// Those with figures of another kind.
const OTHERS: [&str; 3] = ["The same faults elsewhere", "Fuzzing", "Mutants"];

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn page() -> String {
    fs::read_to_string(root("docs/reliability.md")).expect("the page")
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().expect("text")
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().expect("a number")
}

fn outcomes(row: &Value) -> String {
    let outcomes = row["outcomes"].as_object().expect("outcomes");
    let words: Vec<String> = outcomes
        .iter()
        .map(|(outcome, count)| format!("{outcome}: {count}"))
        .collect();
    words.join(", ")
}

/// One line of a table. The subject stands only where there are several.
fn line(row: &Value, with_subject: bool) -> String {
    let subject = if with_subject {
        format!("{} | ", text(row, "subject"))
    } else {
        String::new()
    };
    format!(
        "| {subject}{} | {}{} | {} | lost or changed: {} | `{}` |\n",
        text(row, "scenario"),
        number(row, "injected"),
        if row["full"] == true || text(row, "section") == "Mutants" {
            ""
        } else {
            PART
        },
        outcomes(row),
        number(row, "lost_or_changed"),
        text(row, "command"),
    )
}

fn table(section: &str, rows: &[Value]) -> String {
    let mut rows: Vec<&Value> = rows
        .iter()
        .filter(|row| text(row, "section") == section)
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_by_key(|row| {
        (
            text(row, "scenario").to_owned(),
            text(row, "subject").to_owned(),
        )
    });
    let with_subject = rows.iter().any(|row| text(row, "subject") != "safestep");
    let injected: u64 = rows.iter().map(|row| number(row, "injected")).sum();
    let (subject, rule) = if with_subject {
        ("program | ", "---|")
    } else {
        ("", "")
    };
    let mut lines = format!(
        "### {section}\n\n{injected} in all.\n\n| {subject}what was disturbed | injected | what came of it | | again |\n|{rule}---|---|---|---|---|\n"
    );
    for row in rows {
        lines.push_str(&line(row, with_subject));
    }
    lines.push('\n');
    lines
}

/// The part of the page that is made from the rows.
fn tables(rows: &[Value]) -> String {
    let injecting = rows
        .iter()
        .filter(|row| INJECTING.contains(&text(row, "section")));
    let (faults, lost) = injecting.fold((0, 0), |(faults, lost), row| {
        (
            faults + number(row, "injected"),
            lost + number(row, "lost_or_changed"),
        )
    });
    let mut part = format!("{faults} faults were injected. Lost or changed: {lost}\n\n");
    for section in INJECTING.iter().chain(&OTHERS) {
        part.push_str(&table(section, rows));
    }
    part
}

fn bless(page: &str) {
    let rows = rows();
    for row in &rows {
        let section = text(row, "section");
        assert!(
            INJECTING.contains(&section) || OTHERS.contains(&section),
            "no place for {section}"
        );
    }
    let (before, rest) = page.split_once(BEGIN).expect("the mark of the beginning");
    let (_, after) = rest.split_once(END).expect("the mark of the end");
    let page = format!("{before}{BEGIN}\n\n{}{END}{after}", tables(&rows));
    fs::write(root("docs/reliability.md"), page).expect("the page is written");
}

/// A row on the page: the section that it stands in, and its cells.
struct Row {
    section: String,
    cells: Vec<String>,
}

impl Row {
    /// Where several programs are compared, the first cell names the program.
    fn is_ours(&self) -> bool {
        self.cells.len() == 5 || self.cells[0] == "safestep"
    }

    /// Cells are counted from the end, since the program may stand in front.
    fn injected(&self) -> u64 {
        let cell = &self.cells[self.cells.len() - 4];
        cell.trim_end_matches(PART).parse().expect("a number")
    }

    fn command(&self) -> &str {
        self.cells.last().expect("a command").trim_matches('`')
    }
}

fn rows_on_the_page() -> Vec<Row> {
    let page = page();
    let (_, rest) = page.split_once(BEGIN).expect("the mark of the beginning");
    let (part, _) = rest.split_once(END).expect("the mark of the end");
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in part.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            title.clone_into(&mut section);
        } else if line.starts_with("| ") && line.contains("lost or changed: ") {
            let cells = line.trim_matches(['|', ' ']).split(" | ");
            rows.push(Row {
                section: section.clone(),
                cells: cells.map(str::to_owned).collect(),
            });
        }
    }
    rows
}

/// What was done, without what went wrong then: which errors a part of the faults meets depends on the machine.
fn group(scenario: &str) -> &str {
    scenario
        .split_once(": ")
        .map_or(scenario, |(group, _)| group)
}

#[test]
fn every_row_that_the_tests_record_is_on_the_page() {
    if std::env::var_os("SAFESTEP_TEST_BLESS").is_some_and(|value| value == "1") {
        bless(&page());
    }
    let page = rows_on_the_page();
    for row in rows() {
        let names = [text(&row, "subject"), group(text(&row, "scenario"))];
        let found = page.iter().any(|on_page| {
            let has = |name: &str| on_page.cells.iter().any(|cell| group(cell) == name);
            on_page.section == text(&row, "section")
                && has(names[1])
                && (has(names[0]) || on_page.cells.len() == 5)
        });
        assert!(
            found,
            "{names:?} is not on the page (if it was renamed, remove target/reliability)"
        );
    }
}

#[test]
fn nothing_is_lost_or_changed_in_any_row_of_this_program_and_there_are_ten_thousand_faults() {
    let mut faults = 0;
    for row in rows_on_the_page().iter().filter(|row| row.is_ours()) {
        assert!(
            row.cells.contains(&"lost or changed: 0".to_owned()),
            "{:?}",
            row.cells
        );
        if INJECTING.contains(&row.section.as_str()) {
            faults += row.injected();
        }
    }
    assert!(faults > 10_000, "{faults}");
}

/// `file::test` of every test in `tests/`.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root("tests")];
    while let Some(folder) = folders.pop() {
        for path in files_ending(&folder, "") {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(tests_of(&path));
            }
        }
    }
    names
}

fn tests_of(path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(root("tests")).expect("in tests");
    let first = relative.components().next().expect("a name");
    let file = Path::new(first.as_os_str()).with_extension("");
    let source = fs::read_to_string(path).expect("source");
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let (true, Some(rest)) = (is_test, line.strip_prefix("fn ")) {
            let name = rest.split('(').next().unwrap_or(rest);
            names.push(format!("{}::{name}", file.display()));
            is_test = false;
        } else if let Some((name, _)) = line.split_once(" => scenarios::") {
            // The macro of tests/faults.rs makes a test of each.
            names.push(format!("{}::{name}", file.display()));
        }
    }
    names
}

#[test]
fn every_command_on_the_page_runs_tests_that_exist() {
    let tests = tests();
    for row in rows_on_the_page() {
        let command = row.command();
        if let Some((_, file)) = command.split_once("cargo mutants --in-place -f ") {
            assert!(root(file).is_file(), "{command}");
            continue;
        }
        let mut words = command
            .split(' ')
            .skip_while(|word| *word != "--test")
            .skip(1);
        let file = words.next().expect("--test names a file");
        let filter = words.find(|word| !word.starts_with('-')).unwrap_or("");
        let filter = filter.rsplit("::").next().unwrap_or("");
        assert!(
            tests
                .iter()
                .any(|test| test.starts_with(&format!("{file}::")) && test.contains(filter)),
            "{command}"
        );
    }
}

/// The numbered sentences under "Guarantees" in the README, each without its number and in one line.
fn guarantees() -> Vec<String> {
    let readme = fs::read_to_string(root("README.md")).expect("README");
    let (_, rest) = readme
        .split_once("\n## Guarantees\n")
        .expect("the guarantees");
    let part = rest.split("\n## ").next().unwrap_or(rest);
    let mut found: Vec<String> = Vec::new();
    for line in part.lines() {
        if let Some((number, sentence)) = line.split_once(". ")
            && number.parse::<u32>().is_ok()
        {
            found.push(sentence.to_owned());
        } else if let (Some(last), true) = (found.last_mut(), line.starts_with("   ")) {
            last.push(' ');
            last.push_str(line.trim());
        }
    }
    let sentences = found
        .iter()
        .flat_map(|guarantee| guarantee.split_inclusive(". "));
    sentences
        .map(|sentence| sentence.trim().to_owned())
        .collect()
}

/// A promise on the page, and the tests below it: `- file::test`.
fn promises() -> Vec<(String, Vec<String>)> {
    let page = page();
    let (_, rest) = page
        .split_once("\n## Which test holds which promise\n")
        .expect("the promises");
    let part = rest.split("\n## ").next().unwrap_or(rest);
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in part.lines() {
        if let Some(promise) = line
            .strip_prefix("**")
            .and_then(|line| line.strip_suffix("**"))
        {
            found.push((promise.to_owned(), Vec::new()));
        } else if let (Some((_, tests)), Some(test)) = (found.last_mut(), line.strip_prefix("- `"))
        {
            tests.push(test.split('`').next().unwrap_or(test).to_owned());
        }
    }
    found
}

#[test]
fn every_sentence_under_guarantees_names_tests_that_hold_it_and_each_of_them_exists() {
    let (promises, tests) = (promises(), tests());
    let guarantees = guarantees();
    assert!(guarantees.len() >= 9, "{guarantees:#?}");
    for sentence in &guarantees {
        let held = promises.iter().find(|(promise, _)| promise == sentence);
        assert!(
            held.is_some_and(|(_, tests)| !tests.is_empty()),
            "docs/reliability.md names no test for '{sentence}'"
        );
    }
    for (promise, held) in &promises {
        for test in held {
            assert!(tests.contains(test), "'{promise}': there is no test {test}");
        }
    }
}
