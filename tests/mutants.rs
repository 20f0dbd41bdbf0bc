//! Rows of what cargo-mutants found, from its own `outcomes.json`: `cargo test --features mutants --test mutants`, with the
//! folders that hold one in `SAFESTEP_MUTANTS` (separated by `:`). docs/mutants.md explains the survivors that stay.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use support::evidence::Evidence;

/// By module, by mutant: what became of it. A later folder corrects an earlier one.
fn outcomes(folders: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut modules: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for folder in folders.split(':') {
        let path = Path::new(folder).join("outcomes.json");
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let document: Value = serde_json::from_str(&text).expect("JSON");
        for outcome in document["outcomes"].as_array().expect("outcomes") {
            let mutant = &outcome["scenario"]["Mutant"];
            if let (Some(file), Some(name)) = (mutant["file"].as_str(), mutant["name"].as_str()) {
                let summary = outcome["summary"].as_str().expect("a summary");
                let module = modules.entry(file.to_owned()).or_default();
                module.insert(name.to_owned(), summary.to_owned());
            }
        }
    }
    modules
}

#[test]
fn every_mutant_is_caught_or_explained() {
    let folders = std::env::var("SAFESTEP_MUTANTS").expect("SAFESTEP_MUTANTS names folders");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mutants.md");
    let explained = fs::read_to_string(page).expect("docs/mutants.md");
    for (file, mutants) in outcomes(&folders) {
        let command = format!("cargo mutants --in-place -f {file}");
        let mut evidence = Evidence::new("Mutants", file, command);
        for (name, summary) in mutants {
            match summary.as_str() {
                "CaughtMutant" => evidence.injected("caught"),
                "Unviable" => evidence.injected("does not compile"),
                "Timeout" => evidence.injected("caught by the time limit"),
                _ if explained.contains(&name) => evidence.injected("survived, explained"),
                _ => {
                    evidence.injected("survived");
                    evidence.lost(name);
                }
            }
        }
        evidence.finish();
    }
}
