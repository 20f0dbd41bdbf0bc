//! Texts that are compared with a file of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::full;

/// Whether the texts are to be written anew.
fn is_blessing() -> bool {
    std::env::var_os("SAFESTEP_TEST_BLESS").is_some_and(|value| value == "1")
}

/// All cases in the full run, else one in so many.
pub fn chosen<T>(cases: impl IntoIterator<Item = T>, one_in: usize) -> Vec<T> {
    let step = if full() || is_blessing() { 1 } else { one_in };
    cases.into_iter().step_by(step).collect()
}

/// What the cases of one group said, in order.
pub struct Golden {
    path: PathBuf,
    text: String,
}

impl Golden {
    /// `tests/hostile/expected/<group>.txt`
    pub fn of(group: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/expected");
        Self {
            path: folder.join(format!("{group}.txt")),
            text: String::new(),
        }
    }

    /// The next case.
    pub fn case(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&format!("## {name}\n"));
    }

    /// What these commands said, which is the same.
    pub fn said(&mut self, commands: &str, code: i32, words: &str) {
        self.text.push_str(&format!("{commands}: exit {code}\n"));
        for line in words.lines() {
            self.text.push_str(&format!("    {line}\n"));
        }
    }

    /// Compares it with the file, or writes the file.
    #[track_caller]
    pub fn compare(self) {
        if is_blessing() {
            fs::write(&self.path, &self.text).unwrap();
            return;
        }
        let mut expected = fs::read_to_string(&self.path).unwrap_or_default();
        if !full() {
            expected = only(&expected, &cases(&self.text));
        }
        let differs = expected
            .lines()
            .zip(self.text.lines())
            .find(|(a, b)| a != b);
        assert!(
            expected == self.text,
            "{} says otherwise (SAFESTEP_TEST_BLESS=1 writes it anew):\n- {}\n+ {}\nall of it:\n{}",
            self.path.display(),
            differs.map_or("", |(line, _)| line),
            differs.map_or("", |(_, line)| line),
            self.text
        );
    }
}

/// The cases of a text, each with its heading.
fn cases(text: &str) -> Vec<&str> {
    let mut cases: Vec<&str> = text.split("\n## ").map(str::trim_end).collect();
    if let Some(first) = cases.first_mut() {
        *first = first.trim_start_matches("## ");
    }
    cases
}

/// The cases of `all` whose heading is one of these'.
fn only(all: &str, chosen: &[&str]) -> String {
    let heading = |case: &str| case.lines().next().map(str::to_owned);
    let chosen: Vec<_> = chosen.iter().map(|case| heading(case)).collect();
    let kept: Vec<String> = cases(all)
        .into_iter()
        .filter(|case| chosen.contains(&heading(case)))
        .map(|case| format!("## {case}\n"))
        .collect();
    kept.join("\n")
}

/// Ids, times, digests, sizes and numbers of processes, which differ from run to run, replaced by what they are.
pub fn steady(text: &str, here: &Path) -> String {
    let here = here.to_str().expect("UTF-8");
    let text = text.replace(here, "<here>");
    let text = text.replace(here.trim_end_matches('/'), "<here>");
    let around = std::env::temp_dir();
    let its_folder = format!("{} is not a usable", around.display());
    let text = text.replace(&its_folder, "<around> is not a usable");
    let mut steady = String::new();
    let mut rest = text.as_str();
    while let Some(letter) = rest.chars().next() {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len())
            .max(letter.len_utf8());
        let (word, after) = rest.split_at(end);
        rest = after;
        steady.push_str(placeholder(word).unwrap_or(word));
    }
    let steady = measures(&steady.replace("<time>.<ms>Z", "<time>"));
    let lines = steady.split_inclusive('\n').map(without_offsets);
    lines.collect()
}

/// Where on a page a cell lies depends on how long a job took, which its history says; where a manifest ends, on the
/// paths in it.
fn without_offsets(line: &str) -> String {
    if let Some((before, _)) = line.split_once(": Offset ") {
        return format!("{before}: Offset <n> out of range\n");
    }
    match line.split_once("trailing characters at line 1 column ") {
        Some((before, _)) => format!("{before}trailing characters at line 1 column <n>\n"),
        None => line.to_owned(),
    }
}

fn placeholder(word: &str) -> Option<&'static str> {
    let is_hex = word
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_time = |pattern: &str| {
        word.len() == pattern.len()
            && word.bytes().zip(pattern.bytes()).all(|(b, p)| {
                if p == b'0' {
                    b.is_ascii_digit()
                } else {
                    b == p
                }
            })
    };
    match word.len() {
        8 if is_hex => Some("<id>"),
        16 if is_hex => Some("<digest>"),
        64 | 96 if word.bytes().all(|b| b.is_ascii_hexdigit()) => Some("<sha>"),
        _ if is_time("00000000T000000") => Some("<time>"),
        _ if is_time("000Z") => Some("<ms>Z"),
        _ => None,
    }
}

/// `12 ms`, `1.2 KiB`, `pid 17`: the number before a unit and behind a word.
fn measures(text: &str) -> String {
    const UNITS: [&str; 7] = ["ms", "B", "KiB", "MiB", "GiB", "TiB", "s"];
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let is_number =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    for at in 1..words.len() {
        let unit = words[at].trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let unit = unit
            .split(['\n', ')', ','])
            .next()
            .unwrap_or_default()
            .to_owned();
        let number = words[at - 1].trim_start_matches('(').to_owned();
        if UNITS.contains(&unit.as_str()) && is_number(&number) {
            words[at - 1] = words[at - 1].replace(&number, "<n>");
        }
        if unit == "are" && is_number(&number) {
            words[at - 1] = "<n>".into();
        }
        let digits: String = words[at].chars().take_while(char::is_ascii_digit).collect();
        if words[at - 1].ends_with("pid") && !digits.is_empty() {
            words[at] = words[at].replacen(&digits, "<n>", 1);
        }
    }
    words.join(" ")
}
