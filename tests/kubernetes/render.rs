//! The manifests as kustomize renders them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::podman::named_by;
use super::support::{text, tool};

/// What can be applied: with everything that it needs, or beside what is there already.
pub const VARIANTS: [&str; 8] = [
    "job",
    "init-container",
    "cron-backup",
    "cron-window",
    "restore",
    "look",
    "indexed",
    "example",
];

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes")
}

/// A Python that has `PyYAML` and kubernetes-validate.
pub fn python() -> PathBuf {
    named_by("SAFESTEP_KUBERNETES")
}

/// `kubectl kustomize`, as it is.
#[track_caller]
pub fn yaml(overlay: &Path) -> String {
    tool("kubectl", &["kustomize", text(overlay)])
}

/// Its documents. YAML 1.1, as kubectl reads it: an unquoted `True` is no string.
#[track_caller]
pub fn documents(overlay: &Path) -> Vec<Value> {
    let script = "import json, subprocess, sys, yaml\n\
        out = subprocess.run(['kubectl', 'kustomize', sys.argv[1]], check=True, capture_output=True, text=True).stdout\n\
        print(json.dumps(list(yaml.safe_load_all(out))))";
    let json = tool(text(&python()), &["-c", script, text(overlay)]);
    serde_json::from_str(&json).expect("JSON")
}

/// The documents of a variant.
#[track_caller]
pub fn variant(name: &str) -> Vec<Value> {
    documents(&folder().join(name))
}

/// The first document of that kind.
#[track_caller]
pub fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    documents
        .iter()
        .find(|document| document["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind} among them"))
}
