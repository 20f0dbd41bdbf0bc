//! The manifests of `deploy/kubernetes`: rendered, held against the schemas and against what no schema tells, and their pods
//! played by podman with their real exit codes.
//!
//! Behind the feature `containers`: needs kubectl, podman, root, and what `.ci/run` names in `SAFESTEP_KUBERNETES` (a Python with
//! kubernetes-validate) and `SAFESTEP_STATIC` (the statically linked program).
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[path = "kubernetes/mutants.rs"]
mod mutants;
#[path = "kubernetes/pods.rs"]
mod pods;
#[path = "kubernetes/render.rs"]
mod render;
#[path = "kubernetes/rules.rs"]
mod rules;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use mutants::mutants;
use pods::{Cluster, USER};
use render::{VARIANTS, documents, folder, of_kind, python, variant, yaml};
use serde_json::{Value, json};
use support::{
    Run, Sandbox, block_on, connect, content, copy_tree, mode_of, query, text, wait_until,
};

/// Kubernetes of the oldest version that has all that is used here, and of the newest that there is a schema for.
const OLDEST_AND_NEWEST: [&str; 2] = ["1.29", "1.37"];
const TENANTS: usize = 12;
const BROKEN: &str = "CREATE TABLE extra (n INTEGER);\nINSERT INTO nowhere VALUES (1);\n";
/// Goes on until it is interrupted, long before its last row.
const ENDLESS: &str = "CREATE TABLE grown (b BLOB);
INSERT INTO grown WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000)
SELECT zeroblob(4000) FROM n WHERE i % 100000 = 0;\n";

fn validate(version: &str, file: &std::path::Path) -> Run {
    let args = [
        "-m",
        "kubernetes_validate",
        "--strict",
        "--quiet",
        "-k",
        version,
        text(file),
    ];
    Run::of(
        &Command::new(python())
            .args(args)
            .output()
            .expect("python starts"),
    )
}

/// What has been applied before `restore` and `look`, and the claims.
fn beside() -> Vec<Value> {
    let mut all = variant("base");
    all.extend(variant("volumes"));
    all
}

/// A variant together with the base's settings.
fn with_base(name: &str) -> Vec<Value> {
    let mut all = variant(name);
    if all.iter().all(|document| document["kind"] != "ConfigMap") {
        all.extend(variant("base"));
    }
    all
}

/// The documents with another setting in their `ConfigMap`.
fn with_setting(documents: &[Value], name: &str, value: &str) -> Vec<Value> {
    let mut documents = documents.to_vec();
    let config = documents
        .iter_mut()
        .find(|document| document["kind"] == "ConfigMap")
        .unwrap();
    config["data"][name] = json!(value);
    documents
}

#[test]
fn every_variant_is_valid_for_the_oldest_and_the_newest_kubernetes() {
    let sandbox = Sandbox::new();
    for name in VARIANTS.iter().chain(&["base", "volumes"]) {
        let file = sandbox.path("rendered.yaml");
        let rendered = yaml(&folder().join(name));
        fs::write(&file, &rendered).unwrap();
        for version in OLDEST_AND_NEWEST {
            validate(version, &file).expect_code(0);
        }
    }
}

#[test]
fn a_misspelt_key_and_a_wrong_type_are_not_valid() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("rendered.yaml");
    let rendered = yaml(&folder().join("job"));
    for (right, wrong) in [
        ("backoffLimit:", "backofLimit:"),
        ("activeDeadlineSeconds: 3600", "activeDeadlineSeconds: 1h"),
    ] {
        assert!(rendered.contains(right));
        fs::write(&file, rendered.replace(right, wrong)).unwrap();
        for version in OLDEST_AND_NEWEST {
            assert_ne!(validate(version, &file).code, 0, "{wrong}");
        }
    }
}

#[test]
fn nothing_is_wrong_with_any_variant_that_no_schema_tells() {
    for name in VARIANTS {
        let namespaced = name == "example";
        let beside = if namespaced { Vec::new() } else { beside() };
        assert_eq!(
            rules::broken(&variant(name), &beside),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[test]
fn every_rule_says_so_when_a_manifest_breaks_it() {
    let beside = variant("volumes");
    let rendered: Vec<(&str, Vec<Value>)> = VARIANTS.map(|name| (name, variant(name))).into();
    let mut silent = Vec::new();
    for mutant in mutants() {
        let (_, documents) = rendered
            .iter()
            .find(|(name, _)| *name == mutant.variant)
            .unwrap();
        let mut documents = documents.clone();
        mutant.apply(&mut documents);
        let said = rules::broken(&documents, &beside);
        if !said.iter().any(|said| said.contains(&mutant.said)) {
            silent.push(format!("{mutant:?}: {said:?}"));
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn an_overlay_names_the_job_by_its_images_tag_and_renames_nothing_else() {
    let sandbox = Sandbox::new();
    copy_tree(&folder(), &sandbox.path("kubernetes"));
    let overlay = sandbox.path("kubernetes/example");
    let file = overlay.join("kustomization.yaml");
    let first = documents(&overlay);
    let changed = fs::read_to_string(&file)
        .unwrap()
        .replace("2026-11-23", "2026-11-24");
    fs::write(&file, changed).unwrap();
    let second = documents(&overlay);
    assert_eq!(
        of_kind(&first, "Job")["metadata"]["name"],
        "safestep-migrate-2026-11-23"
    );
    assert_eq!(
        of_kind(&second, "Job")["metadata"]["name"],
        "safestep-migrate-2026-11-24"
    );
    assert_eq!(
        of_kind(&second, "Job")["spec"]["template"]["spec"]["containers"][0]["image"],
        "registry.example.com/fastflow-migrations:2026-11-24"
    );
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first["metadata"]["namespace"], "fastflow");
        if first["kind"] != "Job" {
            assert_eq!(first, second);
        }
    }
    assert!(
        variant("example")
            .iter()
            .all(|document| document["kind"] != "PersistentVolumeClaim"),
        "a claim in an overlay that is deployed again and again"
    );
}

#[test]
fn the_program_understands_the_arguments_of_every_pod() {
    for name in VARIANTS {
        for document in variant(name) {
            let Some(template) = rules::template_of(&document) else {
                continue;
            };
            let ours = if name == "init-container" {
                "initContainers"
            } else {
                "containers"
            };
            let args: Vec<&str> = template["spec"][ours][0]["args"]
                .as_array()
                .unwrap()
                .iter()
                .map(|arg| arg.as_str().unwrap())
                .collect();
            let sandbox = Sandbox::new();
            let mut command = sandbox.command(&args);
            let run = Run::of(&command.env("JOB_COMPLETION_INDEX", "0").output().unwrap());
            assert_ne!(run.code, 2, "{name}: {args:?}: {}", run.stderr);
        }
    }
}

#[test]
fn the_job_migrates_and_a_second_one_finds_nothing_to_do() {
    let mut cluster = Cluster::new("job", Sandbox::at("003"));
    let job = variant("job");
    let ended = cluster.play(&job, &[]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(cluster.sandbox.current(), "008");
    let archive = cluster.sandbox.archives().pop().expect("a backup");
    assert_eq!(mode_of(&archive), 0o600);
    assert_eq!(fs::metadata(&archive).unwrap().uid(), USER);
    let before = content(&cluster.sandbox.database());
    let again = cluster.play(&job, &[]);
    assert_eq!(again.code, 0, "{}", again.log);
    assert_eq!(content(&cluster.sandbox.database()), before);
}

#[test]
fn a_broken_migration_ends_the_job_with_5_its_reason_in_the_pods_status_and_the_database_as_before()
{
    let sandbox = Sandbox::at("003");
    sandbox.add_migration("009_broken", BROKEN);
    let before = content(&sandbox.database());
    let mut cluster = Cluster::new("broken", sandbox);
    let ended = cluster.play(&variant("job"), &[]);
    assert_eq!(ended.code, 5, "{}", ended.log);
    assert_eq!(content(&cluster.sandbox.database()), before);
    for word in [
        "009_broken.up.sql failed at statement 2",
        "no such table: nowhere",
        "state: ",
        "backup: ",
        "next: ",
    ] {
        assert!(ended.message.contains(word), "{word}: {}", ended.message);
    }
}

#[test]
fn a_locked_database_ends_the_job_with_75_and_the_next_try_succeeds() {
    let mut cluster = Cluster::new("locked", Sandbox::at("003"));
    let job = variant("job");
    block_on(async {
        let mut holder = connect(&cluster.sandbox.database()).await;
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut holder)
            .await
            .unwrap();
        let ended = cluster.play(&with_setting(&job, "SAFESTEP_LOCK_TIMEOUT", "1s"), &[]);
        assert_eq!(ended.code, 75, "{}", ended.log);
        assert!(
            ended.message.contains("is in use by others"),
            "{}",
            ended.message
        );
    });
    assert_eq!(cluster.sandbox.current(), "003");
    assert_eq!(cluster.play(&job, &[]).code, 0);
    assert_eq!(cluster.sandbox.current(), "008");
}

#[test]
fn a_wrong_setting_ends_the_job_with_2_and_names_the_variable() {
    let mut cluster = Cluster::new("setting", Sandbox::at("003"));
    let ended = cluster.play(
        &with_setting(&variant("job"), "SAFESTEP_KEEP_LAST", "many"),
        &[],
    );
    assert_eq!(ended.code, 2, "{}", ended.log);
    assert!(
        ended.message.contains("SAFESTEP_KEEP_LAST"),
        "{}",
        ended.log
    );
    assert_eq!(cluster.sandbox.current(), "003");
}

#[test]
fn a_pod_that_is_stopped_in_the_middle_of_a_migration_ends_with_143_within_a_quarter_of_its_grace_period()
 {
    let sandbox = Sandbox::at("003");
    sandbox.add_migration("009_endless", ENDLESS);
    let before = content(&sandbox.database());
    let database = sandbox.database();
    let mut cluster = Cluster::new("stopped", sandbox);
    let job = variant("job");
    let grace = of_kind(&job, "Job")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap();
    let (pod, started) = cluster.start(&job, &[]);
    assert!(started, "{}", pod.stderr);
    let journal = database.with_extension("db-journal");
    wait_until("the migration writes", || {
        fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0)
    });
    // With a SIGKILL after that time, it would be 137.
    pod.stop(grace / 4);
    let ended = pod.wait();
    assert_eq!(ended.code, 143, "{}", ended.log);
    assert!(
        ended.message.contains("The database is as it was before"),
        "{}",
        ended.message
    );
    drop(pod);
    assert_eq!(content(&database), before);
}

#[test]
fn the_init_container_migrates_before_the_application_starts() {
    let mut cluster = Cluster::new("init", Sandbox::at("003"));
    let (pod, started) = cluster.start(&variant("init-container"), &[]);
    assert!(started, "{}", pod.stderr);
    assert_eq!(pod.wait().code, 0);
    let app = pod.wait_for("app");
    assert_eq!(app.code, 0, "{}", app.log);
    drop(pod);
    assert_eq!(cluster.sandbox.current(), "008");
}

#[test]
fn the_application_never_starts_behind_an_init_container_that_failed() {
    let sandbox = Sandbox::at("003");
    sandbox.add_migration("009_broken", BROKEN);
    let before = content(&sandbox.database());
    let database = sandbox.database();
    let mut cluster = Cluster::new("init-broken", sandbox);
    let (pod, started) = cluster.start(&variant("init-container"), &[]);
    assert!(!started, "podman started the application all the same");
    let ended = pod.wait();
    assert_eq!(ended.code, 5, "{}", ended.log);
    assert!(ended.message.contains("next: "), "{}", ended.log);
    let app = pod.state("app");
    assert!(app.is_empty() || app.contains("0001-01-01"), "{app}");
    drop(pod);
    assert_eq!(content(&database), before);
}

#[test]
fn the_cron_jobs_pods_back_up_and_look_and_the_restore_job_puts_a_backup_back() {
    let mut cluster = Cluster::new("restore", Sandbox::at("003"));
    let ended = cluster.play(&variant("cron-backup"), &[]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(cluster.sandbox.archives().len(), 1);
    let before = content(&cluster.sandbox.database());
    assert_eq!(cluster.play(&variant("job"), &[]).code, 0);
    assert_eq!(cluster.sandbox.current(), "008");
    let seen = cluster.play(&with_base("look"), &[]);
    assert_eq!(seen.code, 0, "{}", seen.log);
    assert!(seen.log.contains("003"), "{}", seen.log);
    let back = cluster.play(&with_base("restore"), &[]);
    assert_eq!(back.code, 0, "{}", back.log);
    assert_eq!(content(&cluster.sandbox.database()), before);
}

#[test]
fn every_index_migrates_its_share_and_one_that_fails_does_not_harm_the_others() {
    let sandbox = Sandbox::at("003");
    for tenant in 0..TENANTS {
        let folder = sandbox.path(&format!("data/tenants/{tenant}"));
        fs::create_dir_all(&folder).unwrap();
        fs::copy(sandbox.database(), folder.join("app.db")).unwrap();
    }
    let path = |tenant: usize| format!("data/tenants/{tenant}/app.db");
    fs::write(
        sandbox.path(&path(0)),
        "no database at all, and longer than its header is: ".repeat(100),
    )
    .unwrap();
    let broken = fs::read(sandbox.path(&path(0))).unwrap();
    let mut cluster = Cluster::new("indexed", sandbox);
    let job = variant("indexed");
    let indexes = of_kind(&job, "Job")["spec"]["completions"]
        .as_i64()
        .unwrap();
    let mut codes: Vec<i32> = (0..indexes)
        .map(|index| {
            let ended = cluster.play(&job, &[("JOB_COMPLETION_INDEX", &index.to_string())]);
            assert!(
                ended.code == 0 || ended.log.contains("/data/tenants/0/app.db"),
                "{}",
                ended.log
            );
            ended.code
        })
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 0, 0, 4]);
    for tenant in 1..TENANTS {
        let rows = query(
            &cluster.sandbox.path(&path(tenant)),
            "SELECT max(version) FROM _sqlx_migrations",
        );
        assert_eq!(rows, ["8"], "tenant {tenant}");
    }
    assert_eq!(fs::read(cluster.sandbox.path(&path(0))).unwrap(), broken);
}

#[test]
fn the_volumes_of_the_manifests_are_those_of_the_example_claims() {
    let claims = variant("volumes");
    let names: Vec<&Value> = claims
        .iter()
        .map(|claim| &claim["metadata"]["name"])
        .collect();
    for name in VARIANTS.iter().filter(|name| **name != "indexed") {
        for document in variant(name) {
            let Some(template) = rules::template_of(&document) else {
                continue;
            };
            for volume in template["spec"]["volumes"].as_array().unwrap() {
                if let Some(claim) = volume["persistentVolumeClaim"].get("claimName") {
                    assert!(names.contains(&claim), "{name}: {claim}");
                }
            }
        }
    }
}
