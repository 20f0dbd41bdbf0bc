//! One change to a manifest, and what must be said of it: a check that cannot fail is none.

use serde_json::Value;

/// Variant, kind, where, what is written there in JSON (`-`: it is taken out), and words of what must be said.
const OF_THE_VARIANTS: &str = r#"
job | Job | /spec/template/spec/restartPolicy | "OnFailure" | restartPolicy Never
job | Job | /spec/podFailurePolicy/rules/0/onExitCodes/values | [2, 4, 3, 5, 6, 7] | ascending
job | Job | /spec/podFailurePolicy/rules/0/onExitCodes/values | [2, 3, 4, 5, 6, 7, 7] | ascending
job | Job | /spec/podFailurePolicy/rules/0/onExitCodes/values | [] | ascending
job | Job | /spec/podFailurePolicy/rules/0/onExitCodes/values | [0, 2, 3, 4, 5, 6, 7] | 0 must not
job | Job | /spec/podFailurePolicy/rules/0/onExitCodes/values | [2, 3, 4, 5, 6, 7, 75] | ends the tries
job | Job | /spec/podFailurePolicy/rules/0/onExitCodes/values | [2, 3, 4, 5, 6] | ends the tries
job | Job | /spec/podFailurePolicy/rules/0/onExitCodes/containerName | "main" | names a container
job | Job | /spec/podFailurePolicy/rules/0/action | "FailIndex" | FailIndex without
job | Job | /spec/podFailurePolicy/rules/1/onPodConditions/0/status | true | as a string
job | Job | /spec/podFailurePolicy/rules/1/onPodConditions/0/status | - | as a string
job | Job | /spec/podFailurePolicy/rules/1 | - | a disruption counts
job | Job | /spec/podFailurePolicy/rules/1/onExitCodes | {"operator": "In", "values": [9]} | either
job | Job | /spec/podReplacementPolicy | - | podReplacementPolicy
job | Job | /spec/backoffLimit | - | number of tries
job | Job | /spec/activeDeadlineSeconds | - | activeDeadlineSeconds
job | Job | /spec/ttlSecondsAfterFinished | - | stays for ever
indexed | Job | /spec/completions | 5 | --shards
indexed | Job | /spec/maxFailedIndexes | 1 | must not stop the others
indexed | Job | /spec/backoffLimitPerIndex | - | number of tries
cron-backup | CronJob | /spec/schedule | "15 1 * *" | no cron expression
cron-backup | CronJob | /spec/schedule | "61 1 * * *" | no cron expression
cron-backup | CronJob | /spec/schedule | "*/0 1 * * *" | no cron expression
cron-backup | CronJob | /spec/schedule | "15 2 * * *" | missing on one day
cron-backup | CronJob | /spec/timeZone | - | no time zone
cron-window | CronJob | /spec/concurrencyPolicy | "Allow" | Forbid
cron-window | CronJob | /spec/startingDeadlineSeconds | 5 | never starts
cron-window | CronJob | /spec/jobTemplate/spec/template/spec/restartPolicy | "Always" | restartPolicy Never
init-container | Deployment | /spec/strategy/type | "RollingUpdate" | Recreate
init-container | Deployment | /spec/replicas | 2 | Recreate
init-container | Deployment | /spec/template/spec/initContainers/0 | - | no initContainer
job | NetworkPolicy | /spec/egress | [{}] | lets something through
job | NetworkPolicy | /spec/policyTypes | ["Ingress"] | lets something through
job | NetworkPolicy | /spec/podSelector/matchLabels/app.kubernetes.io~1name | "other" | does not reach
job | ConfigMap | /metadata/name | "other" | ConfigMap that is not there
job | ServiceAccount | /metadata/name | "other" | ServiceAccount that is not there
"#;

/// In every place where a pod is written.
const OF_PODS: &str = r#"
/hostPID | true | namespace of the host
/hostNetwork | true | namespace of the host
/hostIPC | true | namespace of the host
/securityContext/sysctls | [] | sysctls
/securityContext/runAsNonRoot | false | runAsNonRoot
/securityContext/seccompProfile/type | "Unconfined" | seccompProfile
/volumes/0/hostPath | {"path": "/"} | kind of volume
/securityContext/runAsUser | 0 | are 1001
/securityContext/fsGroup | 0 | are 1001
/securityContext/fsGroupChangePolicy | "Always" | OnRootMismatch
/automountServiceAccountToken | true | token
/terminationGracePeriodSeconds | 30 | too little time
/volumes/0/name | "other" | do not fit
/serviceAccountName | "other" | ServiceAccount that is not there
"#;

/// And in every container.
const OF_CONTAINERS: &str = r#"
/securityContext/privileged | true | privileges
/securityContext/allowPrivilegeEscalation | true | privileges
/securityContext/capabilities/drop | ["NET_RAW"] | capabilities
/securityContext/capabilities/add | ["SYS_ADMIN"] | capabilities
/securityContext/runAsUser | 0 | undoes
/securityContext/readOnlyRootFilesystem | false | can be written
/ports | [{"containerPort": 80, "hostPort": 80}] | port of the host
/resources/limits | {} | limit on memory
"#;

/// Variant, kind, the pod's place, its containers; the first one is ours.
const PODS: [(&str, &str, &str, &[&str]); 3] = [
    ("job", "Job", "/spec/template/spec", &["/containers/0"]),
    (
        "cron-window",
        "CronJob",
        "/spec/jobTemplate/spec/template/spec",
        &["/containers/0"],
    ),
    (
        "init-container",
        "Deployment",
        "/spec/template/spec",
        &["/initContainers/0", "/containers/0"],
    ),
];

#[derive(Debug)]
pub struct Mutant {
    pub variant: String,
    kind: String,
    at: String,
    /// Nothing: it is taken out.
    to: Option<Value>,
    /// Words of what must be said.
    pub said: String,
}

/// All of them.
pub fn mutants() -> Vec<Mutant> {
    let mut all: Vec<Mutant> = lines(OF_THE_VARIANTS).map(Mutant::parse).collect();
    for (variant, kind, pod, containers) in PODS {
        let mut add =
            |rest: &str| all.push(Mutant::parse(&format!("{variant} | {kind} | {pod}{rest}")));
        lines(OF_PODS).for_each(&mut add);
        for container in containers {
            lines(OF_CONTAINERS).for_each(|line| add(&format!("{container}{line}")));
        }
        add(&format!(
            "{}/terminationMessagePolicy | \"File\" | pod's status",
            containers[0]
        ));
    }
    all
}

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.is_empty())
}

impl Mutant {
    fn parse(line: &str) -> Self {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [variant, kind, at, to, said] = cells[..] else {
            panic!("five cells: {line}");
        };
        Self {
            variant: variant.to_owned(),
            kind: kind.to_owned(),
            at: at.to_owned(),
            to: (to != "-").then(|| serde_json::from_str(to).expect("JSON")),
            said: said.to_owned(),
        }
    }

    /// Changes the documents.
    pub fn apply(&self, documents: &mut [Value]) {
        let document = documents
            .iter_mut()
            .find(|document| document["kind"] == self.kind)
            .unwrap_or_else(|| panic!("no such kind: {self:?}"));
        let (parent, last) = self.at.rsplit_once('/').expect("a path");
        let parent = document
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("no such place: {self:?}"));
        let last = last.replace("~1", "/");
        let index = || last.parse::<usize>().expect("an index");
        match (parent, &self.to) {
            (Value::Object(map), Some(to)) => drop(map.insert(last, to.clone())),
            (Value::Object(map), None) => drop(map.remove(&last).expect("it was there")),
            (Value::Array(list), Some(to)) => list[index()] = to.clone(),
            (Value::Array(list), None) => drop(list.remove(index())),
            _ => panic!("nothing to change: {self:?}"),
        }
    }
}
