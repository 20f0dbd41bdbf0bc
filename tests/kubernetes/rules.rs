//! What an API server refuses, or does in another way than it was meant, and no schema tells. Each rule says what is wrong.

use std::collections::BTreeSet;

use serde_json::Value;

/// Exit codes that nobody can mend by trying again (README.md, "Exit codes").
const FOR_PEOPLE: [i64; 6] = [2, 3, 4, 5, 6, 7];
/// What the restricted Pod Security Standard lets a volume be.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
const OURS: &str = "safestep";
const LABEL: &str = "/labels/app.kubernetes.io~1name";

/// Everything that is wrong with the documents. `beside` are those that are there already when they are applied.
pub fn broken(documents: &[Value], beside: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    for document in documents {
        match document["kind"].as_str() {
            Some("Job") => {
                job(&document["spec"], &mut wrong);
                require(
                    document["spec"]["ttlSecondsAfterFinished"].is_i64(),
                    "a Job stays for ever without ttlSecondsAfterFinished",
                    &mut wrong,
                );
            }
            Some("CronJob") => {
                cron(&document["spec"], &mut wrong);
                job(&document["spec"]["jobTemplate"]["spec"], &mut wrong);
            }
            Some("Deployment") => deployment(&document["spec"], &mut wrong),
            Some("NetworkPolicy") => network(&document["spec"], &mut wrong),
            _ => {}
        }
        if let Some(template) = template_of(document) {
            pod(&template["spec"], &mut wrong);
        }
    }
    let all: Vec<&Value> = documents.iter().chain(beside).collect();
    references(&all, &mut wrong);
    wrong
}

/// The pod template of a document that has one.
pub fn template_of(document: &Value) -> Option<&Value> {
    let spec = match document["kind"].as_str()? {
        "CronJob" => &document["spec"]["jobTemplate"]["spec"],
        _ => &document["spec"],
    };
    spec.get("template")
}

fn require(holds: bool, wrong: &str, list: &mut Vec<String>) {
    if !holds {
        list.push(wrong.to_owned());
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn job(spec: &Value, wrong: &mut Vec<String>) {
    let template = &spec["template"]["spec"];
    let indexed = spec["completionMode"] == "Indexed";
    require(
        template["restartPolicy"] == "Never",
        "a podFailurePolicy needs restartPolicy Never",
        wrong,
    );
    require(
        spec["podReplacementPolicy"] == "Failed",
        "the next pod must wait for the end of the one before: podReplacementPolicy Failed",
        wrong,
    );
    let tries = if indexed {
        "backoffLimitPerIndex"
    } else {
        "backoffLimit"
    };
    require(
        spec[tries].is_i64(),
        "the number of tries is not said",
        wrong,
    );
    require(
        spec["activeDeadlineSeconds"].is_i64(),
        "no activeDeadlineSeconds",
        wrong,
    );
    if indexed {
        shards(spec, wrong);
    }
    policy(spec, indexed, wrong);
}

fn shards(spec: &Value, wrong: &mut Vec<String>) {
    let args: Vec<&str> = items(&spec["template"]["spec"]["containers"][0]["args"])
        .filter_map(Value::as_str)
        .collect();
    let shards = args
        .iter()
        .position(|arg| *arg == "--shards")
        .and_then(|at| args.get(at + 1)?.parse::<i64>().ok());
    require(
        shards.is_some() && spec["completions"].as_i64() == shards,
        "completions and --shards must be the same number",
        wrong,
    );
    require(
        spec["maxFailedIndexes"].as_i64() == shards,
        "a failed index must not stop the others: maxFailedIndexes as many as completions",
        wrong,
    );
}

fn policy(spec: &Value, indexed: bool, wrong: &mut Vec<String>) {
    let names: BTreeSet<&str> = items(&spec["template"]["spec"]["containers"])
        .filter_map(|container| container["name"].as_str())
        .collect();
    let mut given_up = BTreeSet::new();
    let mut disruption = false;
    for rule in items(&spec["podFailurePolicy"]["rules"]) {
        let action = rule["action"].as_str().unwrap_or_default();
        require(
            rule["onExitCodes"].is_object() != rule["onPodConditions"].is_array(),
            "a rule has either onExitCodes or onPodConditions",
            wrong,
        );
        require(
            matches!(action, "FailJob" | "Ignore" | "Count") || (action == "FailIndex" && indexed),
            "an action that there is not, or FailIndex without an index",
            wrong,
        );
        if let Some(codes) = rule.get("onExitCodes") {
            let values: Vec<i64> = items(&codes["values"]).filter_map(Value::as_i64).collect();
            require(
                !values.is_empty() && values.windows(2).all(|pair| pair[0] < pair[1]),
                "the values of onExitCodes must be ascending, each once",
                wrong,
            );
            require(
                !(codes["operator"] == "In" && values.contains(&0)),
                "0 must not be among the values of In",
                wrong,
            );
            let name = codes["containerName"].as_str();
            require(
                name.is_none_or(|name| names.contains(name)),
                "onExitCodes names a container that is not there",
                wrong,
            );
            if action.starts_with("Fail") {
                given_up.extend(values);
            }
        }
        for condition in items(&rule["onPodConditions"]) {
            require(
                condition["status"] == "True",
                "onPodConditions needs status \"True\", written out as a string",
                wrong,
            );
            disruption |= condition["type"] == "DisruptionTarget" && action == "Ignore";
        }
    }
    require(
        given_up == FOR_PEOPLE.into(),
        "what a person is needed for, and nothing else, ends the tries: 2, 3, 4, 5, 6, 7",
        wrong,
    );
    require(disruption, "a disruption counts as a failure", wrong);
}

fn cron(spec: &Value, wrong: &mut Vec<String>) {
    let schedule = spec["schedule"].as_str().unwrap_or_default();
    require(
        cron_parses(schedule),
        "the schedule is no cron expression",
        wrong,
    );
    require(
        schedule.split(' ').nth(1) != Some("2"),
        "the hour from 2 to 3 is missing on one day and comes twice on another",
        wrong,
    );
    require(
        spec["timeZone"]
            .as_str()
            .is_some_and(|zone| zone.contains('/')),
        "no time zone",
        wrong,
    );
    require(
        spec["concurrencyPolicy"] == "Forbid",
        "two runs at a time: concurrencyPolicy Forbid",
        wrong,
    );
    require(
        spec["startingDeadlineSeconds"]
            .as_i64()
            .is_some_and(|seconds| seconds >= 10),
        "the controller looks every ten seconds: a shorter startingDeadlineSeconds never starts",
        wrong,
    );
}

/// Five fields, each of numbers in their range, with `*`, lists, ranges and steps.
fn cron_parses(schedule: &str) -> bool {
    let ranges = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
    let fields: Vec<&str> = schedule.split(' ').collect();
    fields.len() == ranges.len()
        && fields.iter().zip(ranges).all(|(field, (low, high))| {
            field.split(',').all(|item| {
                let (span, step) = item.split_once('/').unwrap_or((item, "1"));
                let number =
                    |text: &str| text.parse::<u32>().is_ok_and(|n| (low..=high).contains(&n));
                step.parse::<u32>().is_ok_and(|step| step > 0)
                    && (span == "*" || span.split('-').count() <= 2 && span.split('-').all(number))
            })
        })
}

fn deployment(spec: &Value, wrong: &mut Vec<String>) {
    require(
        spec["strategy"]["type"] == "Recreate" && spec["replicas"] == 1,
        "the old pod must be gone before the new one migrates: one replica, strategy Recreate",
        wrong,
    );
    require(
        items(&spec["template"]["spec"]["initContainers"]).count() == 1,
        "the job is no initContainer",
        wrong,
    );
}

fn network(spec: &Value, wrong: &mut Vec<String>) {
    let types: BTreeSet<&str> = items(&spec["policyTypes"])
        .filter_map(Value::as_str)
        .collect();
    let nothing = |rules: &Value| items(rules).count() == 0;
    require(
        types == ["Egress", "Ingress"].into()
            && nothing(&spec["egress"])
            && nothing(&spec["ingress"]),
        "the NetworkPolicy lets something through",
        wrong,
    );
}

/// The restricted Pod Security Standard, and what this project wants beyond it.
fn pod(spec: &Value, wrong: &mut Vec<String>) {
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        require(
            spec[host] != true,
            "Pod Security: a namespace of the host",
            wrong,
        );
    }
    let context = &spec["securityContext"];
    require(
        context.get("sysctls").is_none() && context.get("seLinuxOptions").is_none(),
        "Pod Security: sysctls and seLinuxOptions",
        wrong,
    );
    require(
        context["runAsNonRoot"] == true,
        "Pod Security: runAsNonRoot",
        wrong,
    );
    require(
        context["seccompProfile"]["type"] == "RuntimeDefault",
        "Pod Security: seccompProfile",
        wrong,
    );
    for volume in items(&spec["volumes"]) {
        let kinds = volume
            .as_object()
            .into_iter()
            .flat_map(|volume| volume.keys());
        require(
            kinds
                .filter(|kind| *kind != "name")
                .all(|kind| VOLUMES.contains(&kind.as_str())),
            "Pod Security: a kind of volume that is not allowed",
            wrong,
        );
    }
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        require(
            context[key] == 1001,
            "user, group and the volumes' group are 1001",
            wrong,
        );
    }
    require(
        context["fsGroupChangePolicy"] == "OnRootMismatch",
        "every start would walk through the whole volume: fsGroupChangePolicy OnRootMismatch",
        wrong,
    );
    require(
        spec["automountServiceAccountToken"] == false,
        "the pod gets a token that it does not need",
        wrong,
    );
    require(
        spec["terminationGracePeriodSeconds"]
            .as_i64()
            .is_some_and(|seconds| seconds >= 60),
        "too little time to roll back: terminationGracePeriodSeconds",
        wrong,
    );
    let names: BTreeSet<&str> = items(&spec["volumes"])
        .filter_map(|v| v["name"].as_str())
        .collect();
    let mut mounted = BTreeSet::new();
    for container in items(&spec["initContainers"]).chain(items(&spec["containers"])) {
        self::container(container, wrong);
        mounted
            .extend(items(&container["volumeMounts"]).filter_map(|mount| mount["name"].as_str()));
    }
    require(
        names == mounted,
        "volumes and volumeMounts do not fit",
        wrong,
    );
}

fn container(container: &Value, wrong: &mut Vec<String>) {
    let context = &container["securityContext"];
    let capabilities = &context["capabilities"];
    require(
        context["privileged"] != true && context["allowPrivilegeEscalation"] == false,
        "Pod Security: privileges",
        wrong,
    );
    require(
        items(&capabilities["drop"]).any(|name| name == "ALL") && capabilities.get("add").is_none(),
        "Pod Security: capabilities",
        wrong,
    );
    require(
        context.get("runAsUser").is_none()
            && context.get("runAsNonRoot").is_none()
            && context.get("procMount").is_none(),
        "Pod Security: a container undoes what its pod says",
        wrong,
    );
    require(
        items(&container["ports"]).all(|port| port.get("hostPort").is_none()),
        "Pod Security: a port of the host",
        wrong,
    );
    require(
        context["readOnlyRootFilesystem"] == true,
        "the root file system can be written",
        wrong,
    );
    require(
        container["resources"]["limits"]["memory"].is_string()
            && container["resources"]["requests"]["memory"].is_string(),
        "no limit on memory",
        wrong,
    );
    if container["name"] == OURS {
        require(
            container["terminationMessagePath"] == "/dev/termination-log"
                && container["terminationMessagePolicy"] == "FallbackToLogsOnError",
            "the reason of a failure does not get into the pod's status",
            wrong,
        );
    }
}

/// What is named is there.
fn references(all: &[&Value], wrong: &mut Vec<String>) {
    let has = |kind: &str, name: &Value| {
        all.iter()
            .any(|document| document["kind"] == kind && document["metadata"]["name"] == *name)
    };
    let guarded = all
        .iter()
        .filter(|document| document["kind"] == "NetworkPolicy")
        .filter_map(|policy| {
            policy["spec"]["podSelector"].pointer("/matchLabels/app.kubernetes.io~1name")
        });
    let guarded: Vec<&Value> = guarded.collect();
    for document in all {
        let Some(template) = template_of(document) else {
            continue;
        };
        let spec = &template["spec"];
        require(
            has("ServiceAccount", &spec["serviceAccountName"]),
            "a ServiceAccount that is not there",
            wrong,
        );
        for container in items(&spec["initContainers"]).chain(items(&spec["containers"])) {
            for from in items(&container["envFrom"]) {
                require(
                    has("ConfigMap", &from["configMapRef"]["name"]),
                    "a ConfigMap that is not there",
                    wrong,
                );
            }
        }
        let label = template["metadata"].pointer(LABEL);
        require(
            document["kind"] == "Deployment" || label.is_some_and(|label| guarded.contains(&label)),
            "the NetworkPolicy does not reach the pod",
            wrong,
        );
    }
}
