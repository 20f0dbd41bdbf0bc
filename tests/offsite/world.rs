//! A database, a bucket to copy its backups to, and the questions that only the server can answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;

use super::support::s3::{BUCKET, Key, Server, Which};
use super::support::{Run, Sandbox, files_ending};

/// Of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Goes in one request.
    Small,
    /// More than two parts.
    Parts,
}

/// What makes an archive larger than two parts, and does not shrink when it is compressed.
const BULK: &str = "CREATE TABLE bulk (i INTEGER PRIMARY KEY, b BLOB); \
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) \
    INSERT INTO bulk SELECT i, randomblob(1000000) FROM n;";
pub const BULK_BYTES: u64 = 20_000_000;

pub struct World {
    pub sandbox: Arc<Sandbox>,
    pub server: Arc<Server>,
    pub prefix: String,
    pub key: Key,
    bucket: &'static str,
    endpoint: String,
    encrypted: bool,
}

impl World {
    /// At 003, with a user, and no backup yet.
    pub fn new(which: Which, size: Size, encrypted: bool) -> Self {
        let sandbox = Sandbox::at("003");
        sandbox.add_users(&[("ada", "ADMIN")]);
        if size == Size::Parts {
            sandbox.sql(BULK);
        }
        if encrypted {
            write_key(&sandbox);
        }
        let server = Server::get(which);
        let own = sandbox.path("");
        let prefix = own.file_name().unwrap().to_str().unwrap().to_owned();
        Self {
            endpoint: server.endpoint(),
            sandbox: Arc::new(sandbox),
            server,
            prefix: prefix.trim_start_matches('.').to_owned(),
            key: Key::Admin,
            bucket: BUCKET,
            encrypted,
        }
    }

    pub fn in_bucket(self, bucket: &'static str) -> Self {
        Self { bucket, ..self }
    }

    pub fn with_key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    /// Through a proxy.
    pub fn at(self, endpoint: String) -> Self {
        Self { endpoint, ..self }
    }

    /// The same world for somebody else.
    pub fn again_with(&self, key: Key) -> Self {
        Self {
            sandbox: Arc::clone(&self.sandbox),
            server: Arc::clone(&self.server),
            prefix: self.prefix.clone(),
            endpoint: self.endpoint.clone(),
            key,
            ..*self
        }
    }

    /// The same world without a proxy.
    pub fn directly(&self) -> Self {
        self.again_with(self.key).at(self.server.endpoint())
    }

    pub fn url(&self, below: &str) -> String {
        format!("s3://{}/{}/{below}", self.bucket, self.prefix)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(&self.sandbox, arguments)
    }

    fn command_in(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = sandbox.with_s3(arguments, &self.endpoint, self.key);
        command.env(
            "SAFESTEP_OFFSITE",
            format!("s3://{}/{}", self.bucket, self.prefix),
        );
        if self.encrypted {
            command
                .env("SAFESTEP_RECIPIENTS_FILE", self.sandbox.path("recipients"))
                .env("SAFESTEP_IDENTITY_FILE", self.sandbox.path("key"));
        }
        command
    }

    pub fn end(command: &mut Command) -> Run {
        Run::of(
            &command
                .stdin(Stdio::null())
                .output()
                .expect("the program starts"),
        )
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Self::end(&mut self.command(arguments))
    }

    /// On another machine.
    pub fn run_in(&self, sandbox: &Sandbox, arguments: &[&str]) -> Run {
        Self::end(&mut self.command_in(sandbox, arguments))
    }

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--output", "json"]);
        self.run(&all).expect_code(0).json()
    }

    /// A machine with nothing on it.
    pub fn elsewhere() -> Sandbox {
        let sandbox = Sandbox::new();
        fs::remove_dir_all(sandbox.migrations()).unwrap();
        sandbox
    }

    /// The newest archive here.
    pub fn newest(&self) -> PathBuf {
        self.archives().pop().expect("an archive")
    }

    pub fn archives(&self) -> Vec<PathBuf> {
        let suffix = if self.encrypted {
            ".tar.gz.age"
        } else {
            ".tar.gz"
        };
        files_ending(&self.sandbox.backups(), suffix)
    }

    /// The keys of a backup there: its label, and the archive.
    pub fn pair(&self, archive: &str) -> [String; 2] {
        let stem = archive.split(".tar").next().unwrap();
        let key = |file: &str| format!("{}/fastflow/{file}", self.prefix);
        [key(&format!("{stem}.label.json")), key(archive)]
    }

    /// All that is there, sorted.
    pub fn keys(&self) -> Vec<String> {
        let objects = self.server.objects(self.bucket, &self.prefix);
        objects.into_iter().map(|(key, _)| key).collect()
    }

    /// How many backups count there.
    pub fn labels(&self) -> usize {
        let keys = self.keys();
        keys.iter()
            .filter(|key| key.ends_with(".label.json"))
            .count()
    }

    /// Nothing half sent that the store keeps, and takes money for.
    #[track_caller]
    pub fn expect_no_upload(&self) {
        let left = self.server.uploads(self.bucket, &self.prefix);
        assert_eq!(left, Vec::<String>::new(), "half sent");
    }

    /// What the program itself counts as backups there.
    #[track_caller]
    pub fn expect_listed(&self, count: usize) {
        let world = self.directly().with_key(Key::Admin);
        let run = world.run(&["backups", "list", "--remote", "--output", "json"]);
        let listed = run.json();
        let backups = listed["backups"].as_array().map_or(0, Vec::len);
        assert_eq!(backups, count, "{listed:#}");
        // Of a place where nothing is at all it is said that there is nothing.
        let nothing = listed["error"]["code"] == "no_such_backup";
        assert!(run.code == 0 || count == 0 && nothing, "{listed:#}");
        assert_eq!(world.labels(), count);
    }

    /// The newest backup is there, whole, as the server tells.
    #[track_caller]
    pub fn expect_copied(&self) {
        let archive = self.newest();
        let name = archive.file_name().unwrap().to_str().unwrap();
        let [label, key] = self.pair(name);
        assert!(self.keys().contains(&label), "{:?}", self.keys());
        let file = self.sandbox.path("copied");
        self.server.download(self.bucket, &key, &file);
        let same = fs::read(&file).unwrap() == fs::read(&archive).unwrap();
        assert!(same, "another archive");
        self.expect_no_upload();
    }

    /// The bytes of the database file.
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(self.sandbox.database()).unwrap()
    }
}

fn write_key(sandbox: &Sandbox) {
    use age::secrecy::ExposeSecret;
    let identity = age::x25519::Identity::generate();
    let secret = identity.to_string();
    fs::write(sandbox.path("key"), format!("{}\n", secret.expose_secret())).unwrap();
    let recipient = format!("{}\n", identity.to_public());
    fs::write(sandbox.path("recipients"), recipient).unwrap();
}

/// The id in an archive's name.
pub fn id_of(archive: &Path) -> String {
    let name = archive.file_name().unwrap().to_str().unwrap();
    let stem = name.split(".tar").next().unwrap();
    stem.rsplit('_').next().unwrap().to_owned()
}

/// Every file of a folder with its content.
pub fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}
