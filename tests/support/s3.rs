//! Real S3 servers on this machine: moto's, and SeaweedFS, which checks signatures and rights. `.ci/run` makes them ready.

mod proxy;

#[allow(unused_imports)] // not every test breaks things
pub use proxy::{ALWAYS, Fault, Kind, Proxy};

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Run, Sandbox};

/// Everybody's.
pub const BUCKET: &str = "backups";
/// Keeps every version of an object.
pub const VERSIONED: &str = "versioned";
/// Lets no version be removed for a day. moto's only could: with such a rule it wants an MD5, where Amazon takes any checksum.
pub const LOCKED: &str = "locked";
/// The one prefix in [`BUCKET`] that [`Key::WriteOnly`] may write below.
pub const WRITABLE: &str = "only";

/// A server that does not come up in this time, or whose ports somebody has taken meanwhile, is started once more.
const UP: Duration = Duration::from_secs(30);
const ATTEMPTS: usize = 3;

/// Ends the server when the test's process has gone, in whatever way: its standard input ends then.
/// SeaweedFS would take 25 seconds to say goodbye.
const KEEPER: &str =
    "\"$@\" >server.log 2>&1 </dev/null & pid=$!; cat >/dev/null; kill -9 \"$pid\"; wait \"$pid\"";

/// Makes the buckets that tests want, then does what it is told: a line holds the name of a call of boto3 and its arguments, and
/// one line answers. The `aws` program does the same, but needs a second for each.
const CLIENT: &str = r"
import boto3, json, os, sys
from botocore.config import Config
config = Config(s3={'addressing_style': 'path'}, retries={'max_attempts': 1})
s3 = boto3.client('s3', endpoint_url=os.environ['ENDPOINT'], config=config)
for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        if name == 'make_buckets':
            s3.create_bucket(Bucket='backups')
            s3.create_bucket(Bucket='versioned')
            s3.put_bucket_versioning(Bucket='versioned', VersioningConfiguration={'Status': 'Enabled'})
            s3.create_bucket(Bucket='locked', ObjectLockEnabledForBucket=True)
            lock = {'ObjectLockEnabled': 'Enabled'}
            if arguments['locks']:
                lock['Rule'] = {'DefaultRetention': {'Mode': 'COMPLIANCE', 'Days': 1}}
            s3.put_object_lock_configuration(Bucket='locked', ObjectLockConfiguration=lock)
            answer = {}
        elif name in ('upload_file', 'download_file'):
            getattr(s3, name)(**arguments)
            answer = {}
        else:
            answer = getattr(s3, name)(**arguments)
    except Exception as error:
        answer = {'error': repr(error)}
    print(json.dumps(answer, default=str), flush=True)
";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// May do everything.
    Admin,
    /// May read and list.
    ReadOnly,
    /// May write below [`WRITABLE`], and nothing else.
    WriteOnly,
    /// The admin's key with a secret that is not the admin's.
    WrongSecret,
    /// Nobody's.
    Unknown,
}

impl Key {
    /// The key and its secret; each a word that stands nowhere else.
    pub fn pair(self) -> (&'static str, &'static str) {
        match self {
            Self::Admin => ("AKIAADMINQ7W3ERTY", "sEcReT-aDmIn-4fJ8kQ2m"),
            Self::ReadOnly => ("AKIAREADERQ7W3ERT", "sEcReT-rEaDeR-9sK3vB7x"),
            Self::WriteOnly => ("AKIAWRITERQ7W3ERT", "sEcReT-wRiTeR-5tN6yH1z"),
            Self::WrongSecret => ("AKIAADMINQ7W3ERTY", "sEcReT-wRoNg-2gD5pL8c"),
            Self::Unknown => ("AKIANOBODYQ7W3ERT", "sEcReT-nObOdY-7jR4wM3v"),
        }
    }

    /// Puts it into the environment of a command, with nothing else of the kind.
    pub fn give(self, command: &mut Command) {
        let (key, secret) = self.pair();
        command
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("HOME", "/nonexistent")
            .env_remove("AWS_CONFIG_FILE")
            .env_remove("AWS_SHARED_CREDENTIALS_FILE")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Moto,
    Seaweed,
}

impl Which {
    pub const BOTH: [Self; 2] = [Self::Moto, Self::Seaweed];

    fn shared(self) -> &'static Mutex<Weak<Server>> {
        static MOTO: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        static SEAWEED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        match self {
            Self::Moto => &MOTO,
            Self::Seaweed => &SEAWEED,
        }
    }
}

/// A program of the Python environment with the servers and their clients.
pub fn venv(program: &str) -> PathBuf {
    let folder = std::env::var_os("SAFESTEP_S3_VENV").expect("SAFESTEP_S3_VENV; .ci/run shows how");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join("bin")
        .join(program);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// A running server, stopped when it is dropped.
pub struct Server {
    pub which: Which,
    ports: Vec<u16>,
    keeper: Child,
    alive: Option<ChildStdin>,
    client: Mutex<Client>,
    folder: TempDir,
}

/// The Python process that asks the server for us.
struct Client {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    fn of(endpoint: &str) -> Self {
        let mut command = Command::new(venv("python"));
        command
            .args(["-c", CLIENT])
            .env("ENDPOINT", endpoint)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Key::Admin.give(&mut command);
        let mut process = command.spawn().expect("python starts");
        let requests = process.stdin.take().expect("its input");
        let answers = BufReader::new(process.stdout.take().expect("its output"));
        Self {
            process,
            requests,
            answers,
        }
    }

    fn ask(&mut self, call: &str, arguments: &Value) -> Value {
        writeln!(self.requests, "{}", json!([call, arguments])).expect("a request");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer");
        serde_json::from_str(&answer).expect("JSON")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// The one that other tests are using at the moment, or a new one. Each test takes a prefix of its own.
    pub fn get(which: Which) -> Arc<Self> {
        let mut shared = which
            .shared()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start(which));
        *shared = Arc::downgrade(&server);
        server
    }

    fn start(which: Which) -> Self {
        for _ in 0..ATTEMPTS {
            let mut server = Self::spawn(which);
            if server.comes_up() {
                let locks = which == Which::Seaweed;
                server.api("make_buckets", &json!({ "locks": locks }));
                return server;
            }
            println!("{}", server.log());
        }
        panic!("{which:?} does not start");
    }

    fn spawn(which: Which) -> Self {
        let folder = tempfile::tempdir().expect("the server's folder");
        let ports = free_ports();
        let (program, arguments) = match which {
            Which::Moto => ("moto_server", moto(&ports)),
            Which::Seaweed => ("weed", seaweed(&ports, folder.path())),
        };
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(venv(program))
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let alive = keeper.stdin.take();
        Self {
            which,
            client: Mutex::new(Client::of(&format!("http://127.0.0.1:{}", ports[0]))),
            ports,
            keeper,
            alive,
            folder,
        }
    }

    fn comes_up(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < UP {
            let listens = TcpStream::connect(("127.0.0.1", self.ports[0])).is_ok();
            // SeaweedFS listens before it can store anything.
            if listens && self.ask("list_buckets", &json!({})).get("error").is_none() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// What the server has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Runs `aws` on the server as its admin.
    pub fn aws(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(venv("aws"));
        command
            .arg("--endpoint-url")
            .arg(self.endpoint())
            .args(["--output", "json"])
            .args(arguments)
            .stdin(Stdio::null());
        Key::Admin.give(&mut command);
        Run::of(&command.output().expect("aws starts"))
    }

    /// A call of boto3; `error` in the answer says what went wrong.
    pub fn ask(&self, call: &str, arguments: &Value) -> Value {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.ask(call, arguments)
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub fn api(&self, call: &str, arguments: &Value) -> Value {
        let answer = self.ask(call, arguments);
        let error = answer.get("error");
        assert_eq!(error, None, "{call} {arguments}");
        answer
    }

    /// Keys and sizes of the objects below a prefix, in order.
    #[track_caller]
    pub fn objects(&self, bucket: &str, prefix: &str) -> Vec<(String, u64)> {
        let listed = self.api(
            "list_objects_v2",
            &json!({ "Bucket": bucket, "Prefix": prefix }),
        );
        let objects = listed["Contents"].as_array().into_iter().flatten();
        let mut objects: Vec<(String, u64)> = objects
            .map(|object| {
                let key = object["Key"].as_str().expect("a key").to_owned();
                (key, object["Size"].as_u64().expect("a size"))
            })
            .collect();
        objects.sort();
        objects
    }

    /// The keys of multipart uploads below a prefix that nobody has completed or aborted.
    #[track_caller]
    pub fn uploads(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let listed = self.api("list_multipart_uploads", &json!({ "Bucket": bucket }));
        let uploads = listed["Uploads"].as_array().into_iter().flatten();
        uploads
            .map(|upload| upload["Key"].as_str().expect("a key").to_owned())
            .filter(|key| key.starts_with(prefix))
            .collect()
    }

    /// Fetches an object into a file.
    #[track_caller]
    pub fn download(&self, bucket: &str, key: &str, file: &Path) {
        let arguments = json!({ "Bucket": bucket, "Key": key, "Filename": file });
        self.api("download_file", &arguments);
    }

    /// Puts a file in the place of an object.
    #[track_caller]
    pub fn upload(&self, bucket: &str, key: &str, file: &Path) {
        let arguments = json!({ "Bucket": bucket, "Key": key, "Filename": file });
        self.api("upload_file", &arguments);
    }

    /// Takes an object away.
    #[track_caller]
    pub fn remove(&self, bucket: &str, key: &str) {
        self.api("delete_object", &json!({ "Bucket": bucket, "Key": key }));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.keeper.wait();
        // What SeaweedFS leaves behind wherever it runs.
        for port in &self.ports {
            for part in [
                "master-grpc",
                "volume-grpc",
                "filer-grpc",
                "s3-grpc",
                "filer",
                "s3",
            ] {
                let _ = fs::remove_file(format!("/tmp/seaweedfs-{part}-{port}.sock"));
            }
        }
    }
}

impl Sandbox {
    /// A command with this key, for the store at this endpoint.
    pub fn with_s3(&self, arguments: &[&str], endpoint: &str, key: Key) -> Command {
        let mut command = self.command(arguments);
        key.give(&mut command);
        command.env("AWS_ENDPOINT_URL_S3", endpoint);
        command
    }
}

fn moto(ports: &[u16]) -> Vec<String> {
    let port = ports[0].to_string();
    ["-H", "127.0.0.1", "-p", &port].map(String::from).to_vec()
}

fn seaweed(ports: &[u16], folder: &Path) -> Vec<String> {
    fs::write(folder.join("s3.json"), identities().to_string()).expect("the identities");
    let mut arguments: Vec<String> = [
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-dir=.",
        "-filer",
        "-s3",
        "-s3.config=s3.json",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.volumeSizeLimitMB=64",
        "-master.telemetry=false",
        "-volume.max=0",
    ]
    .map(String::from)
    .to_vec();
    let listeners = [
        "s3.port",
        "s3.port.grpc",
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
    ];
    let listeners = listeners.iter().zip(ports);
    arguments.extend(listeners.map(|(name, port)| format!("-{name}={port}")));
    arguments
}

fn identities() -> Value {
    let identity = |name: &str, key: Key, actions: &[&str]| {
        let (key, secret) = key.pair();
        json!({
            "name": name,
            "credentials": [{ "accessKey": key, "secretKey": secret }],
            "actions": actions,
        })
    };
    json!({ "identities": [
        identity("admin", Key::Admin, &["Admin", "Read", "List", "Write", "Tagging"]),
        identity("reader", Key::ReadOnly, &["Read", "List"]),
        identity("writer", Key::WriteOnly, &[&format!("Write:{BUCKET}/{WRITABLE}/*")]),
    ] })
}

/// Eight that nobody listens on.
fn free_ports() -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..8)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().expect("its address").port())
        .collect()
}
