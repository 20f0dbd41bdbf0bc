//! A page of documentation as what it tells one to type, and what it says one sees then.

use std::fs;
use std::path::Path;

/// Stands for anything on a line.
const ANYTHING: &str = "…";

/// Commands, and what one sees.
pub struct Block {
    pub commands: String,
    /// The last command must fail.
    pub fails: bool,
    /// Lines, in this order, others between them.
    pub seen: Vec<String>,
    /// What has to be there for it to make sense.
    needs: Vec<String>,
}

/// The blocks, and under which heading they stand.
pub struct Page {
    parts: Vec<(String, Vec<Block>)>,
}

impl Page {
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let page = fs::read_to_string(path).expect("the page");
        let mut parts = vec![(String::new(), Vec::new())];
        let mut lines = page.lines();
        while let Some(line) = lines.next() {
            if let Some(heading) = line.strip_prefix("## ") {
                parts.push((heading.to_owned(), Vec::new()));
            }
            let Some(info) = line.strip_prefix("```") else {
                continue;
            };
            let content: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let blocks = &mut parts.last_mut().expect("a part").1;
            let mut words = info.split(' ');
            match words.next() {
                Some("sh") => {
                    let needs: Vec<String> = words.map(String::from).collect();
                    blocks.push(Block {
                        commands: content.join("\n"),
                        fails: needs.iter().any(|word| word == "fails")
                            || needs.iter().any(|word| word == "full"),
                        seen: Vec::new(),
                        needs: needs.into_iter().filter(|word| word != "fails").collect(),
                    });
                }
                Some("text") => {
                    let block = blocks.last_mut().expect("commands before what they show");
                    block.seen = content.into_iter().map(String::from).collect();
                }
                other => panic!("a block of {other:?}"),
            }
        }
        Self { parts }
    }

    /// The headings.
    pub fn parts(&self) -> Vec<&str> {
        let named = self.parts.iter().skip(1);
        named.map(|(heading, _)| heading.as_str()).collect()
    }

    /// The variables that one sets first, sorted.
    pub fn variables(&self) -> Vec<String> {
        let mut names: Vec<String> = self.parts[0].1[0]
            .commands
            .lines()
            .map(|line| {
                let line = line.strip_prefix("export ").expect("an export");
                line.split('=').next().expect("a name").to_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// What follows from them.
    pub fn preparation(&self) -> &str {
        &self.parts[0].1[1].commands
    }

    /// The blocks of a part for which everything is there.
    #[track_caller]
    pub fn part(&self, heading: &str, has: impl Fn(&str) -> bool) -> Vec<&Block> {
        let part = self.parts.iter().find(|(found, _)| found == heading);
        let (_, blocks) = part.unwrap_or_else(|| panic!("the page has no part {heading:?}"));
        let blocks: Vec<&Block> = blocks
            .iter()
            .filter(|block| block.needs.iter().all(|needed| has(needed)))
            .collect();
        assert!(!blocks.is_empty(), "nothing to do under {heading:?}");
        blocks
    }
}

/// Whether these lines come, in this order; else the first that does not.
pub fn matches_in_order<'l>(lines: &'l [String], text: &str) -> Result<(), &'l str> {
    let mut seen = text.lines();
    for line in lines {
        if !seen.any(|seen| matches(line, seen)) {
            return Err(line);
        }
    }
    Ok(())
}

fn matches(pattern: &str, line: &str) -> bool {
    let Some((first, more)) = pattern.split_once(ANYTHING) else {
        return pattern == line;
    };
    let (middle, last) = more.rsplit_once(ANYTHING).unwrap_or(("", more));
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    for piece in middle.split(ANYTHING) {
        let Some(place) = rest.find(piece) else {
            return false;
        };
        rest = &rest[place + piece.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn lines_are_found_in_their_order_and_dots_stand_for_anything() {
    let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
    let text = "one two three\nfour\n";
    for found in ["one two three", "one…", "…three\nfo…", "o…o…e", "…"] {
        assert_eq!(matches_in_order(&lines(found), text), Ok(()), "{found}");
    }
    for missing in ["four\none…", "one", "two…", "…two", "one…four"] {
        assert!(
            matches_in_order(&lines(missing), text).is_err(),
            "{missing}"
        );
    }
}
