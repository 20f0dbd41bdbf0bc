//! The pod templates, played by podman. What a cluster gives and podman does not is put in by hand, and nothing else is
//! changed: claims become folders of the host that belong to 1001 (fsGroup), images are those made here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::render::of_kind;
use super::rules::template_of;
use super::support::podman::Podman;
use super::support::{Sandbox, text};

/// Who runs in the pods.
pub const USER: u32 = 1001;

/// A namespace with one application: its volumes, its image with the migrations, and podman in the place of the kubelet.
pub struct Cluster {
    pub sandbox: Sandbox,
    podman: Podman,
    image: String,
    pods: Vec<String>,
}

impl Cluster {
    /// With an image of the sandbox' migrations.
    pub fn new(name: &str, sandbox: Sandbox) -> Self {
        let mut cluster = Self {
            podman: Podman::new(),
            image: format!("localhost/safestep-{name}"),
            pods: Vec::new(),
            sandbox,
        };
        fs::create_dir_all(cluster.backups()).expect("backups volume");
        cluster.release();
        cluster
    }

    /// Builds the image anew, with the migrations of now.
    pub fn release(&mut self) {
        let context = self.sandbox.path("image");
        if context.exists() {
            fs::remove_dir_all(&context).expect("the old context");
        }
        self.podman
            .build_image(&self.image, &context, &self.sandbox.migrations());
        own(&self.data());
        own(&self.backups());
    }

    pub fn data(&self) -> PathBuf {
        self.sandbox.path("data")
    }

    pub fn backups(&self) -> PathBuf {
        self.sandbox.path("backups")
    }

    /// Starts the pod of a rendered variant, under a name that is its own. Whether podman could start all of it.
    pub fn start(&mut self, documents: &[Value], env: &[(&str, &str)]) -> (Pod<'_>, bool) {
        let owner = documents
            .iter()
            .find(|document| template_of(document).is_some())
            .expect("a document with a pod");
        let template = template_of(owner).expect("template");
        let name = format!(
            "{}-{}-{}",
            self.image.rsplit('/').next().expect("name"),
            self.pods.len(),
            std::process::id()
        );
        let mut spec = template["spec"].clone();
        self.put_in(&mut spec, env);
        // A Deployment's pod would be started for ever.
        spec["restartPolicy"] = json!("Never");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            // podman would remove an init container as soon as it has ended, and trips over that (4.3).
            "metadata": {"name": name, "labels": template["metadata"]["labels"],
                "annotations": {"io.podman.annotations.init.container.type": "always"}},
            "spec": spec,
        });
        let file = self.sandbox.path("pod.yaml");
        let config = of_kind(documents, "ConfigMap");
        // JSON is YAML.
        fs::write(&file, format!("{config}\n---\n{pod}\n")).expect("the pod's file");
        self.pods.push(name.clone());
        let run = self
            .podman
            .run(&["kube", "play", "--network", "none", text(&file)]);
        let pod = Pod {
            podman: &self.podman,
            name,
            message: self.message_file(),
            stderr: run.stderr,
        };
        (pod, run.code == 0)
    }

    /// Starts it, waits for its end.
    pub fn play(&mut self, documents: &[Value], env: &[(&str, &str)]) -> Ended {
        let (pod, _) = self.start(documents, env);
        pod.wait()
    }

    /// What the kubelet gives every container for its last words: an empty file that anybody can write.
    fn message_file(&self) -> PathBuf {
        self.sandbox.path("termination-log")
    }

    fn put_in(&self, spec: &mut Value, env: &[(&str, &str)]) {
        fs::write(self.message_file(), "").expect("the file for the message");
        fs::set_permissions(self.message_file(), fs::Permissions::from_mode(0o666))
            .expect("its rights");
        for volume in spec["volumes"].as_array_mut().expect("volumes") {
            let name = volume["name"].as_str().expect("name").to_owned();
            let path = self.sandbox.path(&name);
            fs::create_dir_all(&path).expect("volume");
            chown(&path, Some(USER), Some(USER)).expect("as fsGroup does it");
            *volume = json!({"name": name, "hostPath": {"path": path, "type": "Directory"}});
        }
        let file =
            json!({"name": "message", "hostPath": {"path": self.message_file(), "type": "File"}});
        spec["volumes"].as_array_mut().expect("volumes").push(file);
        for list in ["initContainers", "containers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["image"] = json!(format!("{}:latest", self.image));
                if let Some(path) = container.get("terminationMessagePath").cloned() {
                    let mounts = container["volumeMounts"].as_array_mut().expect("mounts");
                    mounts.push(json!({"name": "message", "mountPath": path}));
                }
                if container["name"] == "app" {
                    // In its place the program itself, which looks whether the database is at head.
                    container["args"] = json!([
                        "check",
                        "--database",
                        "/data/fastflow.db",
                        "--backups",
                        "/data/none"
                    ]);
                }
                if !env.is_empty() {
                    let env = env
                        .iter()
                        .map(|(name, value)| json!({"name": name, "value": value}));
                    container["env"] = env.collect();
                }
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for pod in &self.pods {
            self.podman
                .run(&["pod", "rm", "--force", "--time", "0", pod]);
        }
        self.podman.run(&["rmi", "--force", &self.image]);
    }
}

/// A pod that was started.
pub struct Pod<'a> {
    podman: &'a Podman,
    name: String,
    message: PathBuf,
    /// What podman said when it started it.
    pub stderr: String,
}

/// How a container ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub log: String,
    /// What it left for the pod's status.
    pub message: String,
}

impl Pod<'_> {
    /// The end of the container `safestep`.
    #[track_caller]
    pub fn wait(&self) -> Ended {
        self.wait_for("safestep")
    }

    #[track_caller]
    pub fn wait_for(&self, container: &str) -> Ended {
        let name = format!("{}-{container}", self.name);
        let code = self.podman.must(&["wait", &name]);
        let message = fs::read_to_string(&self.message).expect("the message");
        let log = self.podman.run(&["logs", &name]);
        Ended {
            code: code
                .parse()
                .unwrap_or_else(|_| panic!("{code}: {}", self.stderr)),
            log: format!("{}{}", log.stdout, log.stderr),
            message,
        }
    }

    /// What podman says of a container: `created`, `running`, `exited`, or nothing where there is none.
    pub fn state(&self, container: &str) -> String {
        let name = format!("{}-{container}", self.name);
        self.podman
            .run(&[
                "inspect",
                "--format",
                "{{.State.Status}} {{.State.StartedAt}}",
                &name,
            ])
            .stdout
    }

    /// As the kubelet does it: SIGTERM, and SIGKILL when the time is over.
    pub fn stop(&self, seconds: i64) {
        let name = format!("{}-safestep", self.name);
        self.podman
            .must(&["stop", "--time", &seconds.to_string(), &name]);
    }
}

/// Gives a folder and all that is in it to the user of the pods.
pub fn own(path: &Path) {
    chown(path, Some(USER), Some(USER)).expect("root gives it away");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("folder") {
            own(&entry.expect("entry").path());
        }
    }
}
