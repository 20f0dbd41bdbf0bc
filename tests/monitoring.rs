//! The real Prometheus, its promtool and the real Pushgateway take what is exported, and the rules and the board that go with it.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::{Sandbox, text, tool, wait_until};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The queries of the board, each with its variable filled in.
fn queries() -> Vec<String> {
    let board = fs::read_to_string(repository("deploy/monitoring/dashboard.json")).unwrap();
    let board: Value = serde_json::from_str(&board).unwrap();
    let panels = board["panels"].as_array().unwrap();
    panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap().replace("$database", ".*"))
        .collect()
}

#[test]
fn promtool_accepts_the_metrics_the_rules_and_the_queries_of_the_board() {
    let sandbox = Sandbox::at("003");
    sandbox.add_migration("009_bad", "SELECT nonsense;");
    let file = sandbox.path("m.prom");
    for (command, code) in [("run", 5), ("backup", 0)] {
        sandbox
            .run(&[command, "--metrics-file", text(&file)])
            .expect_code(code);
    }
    let check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(check.status.success() && said.is_empty(), "{said}");
    let metrics = fs::read_to_string(&file).unwrap();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split('{').next().unwrap();
        for head in ["HELP", "TYPE"] {
            assert_eq!(
                metrics.matches(&format!("# {head} {name} ")).count(),
                1,
                "{name}"
            );
        }
    }
    let rules = sandbox.path("board.yaml");
    let mut lines = String::from("groups:\n- name: board\n  rules:\n");
    for (number, query) in queries().iter().enumerate() {
        lines.push_str(&format!(
            "  - record: query{number}\n    expr: {}\n",
            Value::from(query.as_str())
        ));
    }
    fs::write(&rules, lines).unwrap();
    for rules in [rules, repository("deploy/monitoring/alerts.yaml")] {
        tool("promtool", &["check", "rules", text(&rules)]);
    }
    tool(
        "promtool",
        &[
            "check",
            "config",
            text(&repository("deploy/monitoring/prometheus.yml")),
        ],
    );
}

#[test]
fn every_alert_fires_when_it_should_and_not_before() {
    let tests = ["alerts.yaml", "ages.yaml"].map(|name| repository("tests/monitoring").join(name));
    let rules = fs::read_to_string(repository("deploy/monitoring/alerts.yaml")).unwrap();
    let tested: String = tests
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for line in rules.lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            assert!(
                tested.contains(&format!("alertname: {alert}\n        exp_alerts:\n")),
                "{alert}"
            );
        }
    }
    tool(
        "promtool",
        &["test", "rules", text(&tests[0]), text(&tests[1])],
    );
}

/// A server that is stopped with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts it on a port that is free.
    fn start(program: &str, args: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new(program)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(program);
        wait_until("it listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { process, port }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned())
            .unwrap_or_default()
    }

    /// What Prometheus answers to a query.
    fn query(&self, query: &str) -> Value {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"));
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        answer["data"]["result"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_pushgateway_keeps_what_a_failed_job_does_not_know_and_counters_only_where_a_file_does() {
    let sandbox = Sandbox::at("008");
    let gateway = Server::start("prometheus-pushgateway", &[]);
    let url = format!("http://127.0.0.1:{}", gateway.port);
    let push = |command: &str, code: i32, more: &[&str]| {
        let run = sandbox
            .run(&[&[command, "--pushgateway", &url], more].concat())
            .expect_code(code);
        assert!(!run.stderr.contains("WARN"), "{}", run.stderr);
        gateway.get("/metrics")
    };
    let database = sandbox.database();
    let sample = |name: &str, value: &str| {
        format!(
            "{name}{{database=\"{}\",instance=\"\",job=\"safestep\"}} {value}\n",
            text(&database)
        )
    };
    let metrics = push("run", 0, &[]);
    assert!(
        metrics.contains(&sample("safestep_revision", "8")),
        "{metrics}"
    );
    assert!(!metrics.contains("safestep_runs_total"), "{metrics}");
    sandbox.add_migration("009_bad", "SELECT nonsense;");
    let metrics = push("run", 5, &[]);
    assert!(
        metrics.contains(&sample("safestep_last_run_exit_code", "5")),
        "{metrics}"
    );
    assert!(
        metrics.contains("safestep_last_success_timestamp_seconds{"),
        "{metrics}"
    );
    assert!(!metrics.contains("outcome=\"nothing_to_do\""), "{metrics}");
    let metrics = push("run", 5, &["--metrics-file", "m.prom"]);
    assert!(
        metrics.contains("exit_code=\"5\",instance=\"\",job=\"safestep\"} 1\n"),
        "{metrics}"
    );
}

/// Answers each request with what the file holds then.
fn serve(file: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let body = fs::read_to_string(&file).unwrap_or_default();
            let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n";
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    port
}

#[test]
fn a_real_prometheus_reads_the_file_answers_the_board_and_raises_and_clears_an_alert() {
    let sandbox = Sandbox::at("003");
    let job = |command: &str, code| {
        sandbox
            .run(&[command, "--metrics-file", "m.prom"])
            .expect_code(code);
    };
    job("run", 0);
    job("backup", 0);
    let target = serve(sandbox.path("m.prom"));
    let rules = repository("deploy/monitoring/alerts.yaml");
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
         scrape_configs:\n- job_name: file\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n",
        text(&rules)
    );
    fs::write(sandbox.path("prometheus.yml"), config).unwrap();
    let prometheus = Server::start(
        "prometheus",
        &[
            &format!("--config.file={}", text(&sandbox.path("prometheus.yml"))),
            &format!("--storage.tsdb.path={}", text(&sandbox.path("tsdb"))),
        ],
    );
    wait_until("the revision is there", || {
        prometheus.query("safestep_revision")[0]["value"][1] == "8"
    });
    let empty: Vec<String> = queries()
        .into_iter()
        .filter(|query| prometheus.query(query).as_array().is_none_or(Vec::is_empty))
        .collect();
    // Nothing was put back, has failed, or was read back yet.
    for query in &empty {
        let may = ["_restores_total", "exit_code!=", "_verification_"];
        assert!(may.iter().any(|part| query.contains(part)), "{query}");
    }
    sandbox.add_migration("009_bad", "SELECT nonsense;");
    job("run", 5);
    let firing = "ALERTS{alertname=\"SafestepJobFailed\",alertstate=\"firing\"}";
    wait_until("the alert fires", || {
        prometheus.query(firing)[0]["value"][1] == "1"
    });
    sandbox.add_migration("009_bad", "SELECT 1;");
    job("run", 0);
    wait_until("the alert is over", || {
        prometheus.query(firing) == Value::Array(Vec::new())
    });
}
