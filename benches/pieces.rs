//! The pieces of a job, each alone, over a database of 100 MB: `cargo bench --bench pieces`. `docs/performance.md` reads them.
#![allow(clippy::expect_used)]

mod data;

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use safestep::archive::{self, Compression, Contents, Wanted, Wrapping};
use safestep::clock::Deadline;
use safestep::encryption::{Encryption, Keys, Passphrase};
use safestep::enums::EnumMap;
use safestep::job::{self, Context, Goal, Report, Settings};
use safestep::migration::Migrations;
use safestep::monitor::Silent;
use safestep::retention::Policy;
use safestep::schema;
use safestep::sqlite::{self, Access, Begin, Connection, Depth, Interrupt};
use safestep::verify::{ForeignKeys, Inventory};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SIZE: &str = "100MB";
const USERS: u64 = 3000;

/// The same database three times: as it was made, with few pages changed, with nearly all of them changed.
struct World {
    folder: TempDir,
    runtime: Runtime,
    interrupt: Interrupt,
    bytes: u64,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let request = data::Request {
            revision: "003".into(),
            bytes: data::bytes(SIZE).expect("a size"),
            users: USERS,
        };
        let base = folder.path().join("base.db");
        data::generate(&base, &request).expect("a database");
        let world = Self {
            bytes: fs::metadata(&base).expect("metadata").len(),
            folder,
            runtime: Runtime::new().expect("a runtime"),
            interrupt: Interrupt::default(),
        };
        world.changed("few.db", "UPDATE users SET blocked = 1 - blocked");
        world.changed("many.db", "UPDATE pipeline_runs SET exit_code = 2");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn changed(&self, name: &str, sql: &str) {
        fs::copy(self.path("base.db"), self.path(name)).expect("a copy");
        self.with(name, Access::ReadWrite, async |connection| {
            connection.run("change it", sql).await.expect("SQL");
        });
    }

    /// Does something with a connection of its own.
    fn with<T>(
        &self,
        name: &str,
        access: Access,
        work: impl AsyncFnOnce(&mut Connection) -> T,
    ) -> T {
        self.runtime.block_on(async {
            let path = self.path(name);
            let mut connection = Connection::open(&path, access, &self.interrupt)
                .await
                .expect("a connection");
            let done = work(&mut connection).await;
            connection.close().await.expect("closed");
            done
        })
    }

    fn reading<T>(&self, work: impl AsyncFnOnce(&mut Connection) -> T) -> T {
        self.with("base.db", Access::ReadOnly, work)
    }
}

fn migrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// Few samples: each takes a part of a second.
fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group
}

fn archives(criterion: &mut Criterion, world: &World) {
    let (database, path) = (world.path("base.db"), world.path("base.tar.gz"));
    let contents = Contents {
        manifest: b"{}",
        database: &database,
        name: "base.db",
        modified: 0,
    };
    let mut group = group(criterion, "archive");
    group.throughput(Throughput::Bytes(world.bytes));
    let passphrase = Passphrase::given("for the bench".into(), "the bench").expect("a passphrase");
    let recipients = world.path("recipients.txt");
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    fs::write(&recipients, recipient).expect("written");
    let sealed = [
        ("", None),
        (
            "_encrypted",
            Some(Encryption::to_recipients(&recipients).expect("a recipient")),
        ),
        (
            "_with_passphrase",
            Some(Encryption::with_passphrase(passphrase)),
        ),
    ];
    for (name, encryption) in &sealed {
        let wrapping = Wrapping {
            compression: Compression::default(),
            encryption: encryption.as_ref(),
        };
        let write = || {
            if path.exists() {
                fs::remove_file(&path).expect("removed");
            }
            archive::write(&path, contents, wrapping, &world.interrupt, &Silent)
                .expect("an archive")
        };
        group.bench_function(format!("write{name}"), |bencher| bencher.iter(write));
        let keys = write();
        group.bench_function(format!("read{name}"), |bencher| {
            bencher.iter(|| {
                let mut sink = io::sink();
                let wanted = Wanted {
                    name: "base.db",
                    bytes: world.bytes,
                    keys: &keys,
                    interrupt: &world.interrupt,
                    monitor: &Silent,
                };
                archive::extract(&path, &mut sink, wanted).expect("the database")
            });
        });
    }
    group.bench_function("sha256", |bencher| {
        bencher.iter(|| archive::sha256_of(&database).expect("a digest"));
    });
}

fn pages(criterion: &mut Criterion, world: &World) {
    let base = world.path("base.db");
    let mut group = group(criterion, "pages");
    group.throughput(Throughput::Bytes(world.bytes));
    group.bench_function("online copy", |bencher| {
        bencher.iter(|| online_copy(world));
    });
    group.bench_function("content digest of a file", |bencher| {
        bencher.iter(|| sqlite::digest_file(&base).expect("a digest"));
    });
    group.bench_function("content digest of a live database", |bencher| {
        bencher.iter(|| {
            world.reading(async |live| sqlite::digest_live(live).await.expect("a digest"))
        });
    });
    for (what, name) in [
        ("restore of few pages, undone", "few.db"),
        ("restore of many pages, undone", "many.db"),
    ] {
        group.bench_function(what, |bencher| {
            bencher.iter(|| restore_and_undo(world, name));
        });
    }
}

fn online_copy(world: &World) {
    let path = world.path("copy.db");
    if path.exists() {
        fs::remove_file(&path).expect("removed");
    }
    fs::File::create(&path).expect("a file");
    world.reading(async |source| {
        let mut copy = Connection::open(&path, Access::Scratch, &world.interrupt)
            .await
            .expect("a connection");
        sqlite::copy(source, &mut copy, deadline(), &world.interrupt, &Silent)
            .await
            .expect("a copy");
        copy.close().await.expect("closed");
    });
}

fn restore_and_undo(world: &World, name: &str) {
    let base = world.path("base.db");
    let written = world.with(name, Access::ReadWrite, async |live| {
        sqlite::begin(live, Begin::Immediate, deadline(), &world.interrupt, || ())
            .await
            .expect("the lock");
        let written = sqlite::restore_pages(live, &base, &world.interrupt, &Silent)
            .await
            .expect("written");
        sqlite::rollback(live).await.expect("undone");
        written
    });
    assert!(written.is_some_and(|pages| pages.written > 0));
}

fn checks(criterion: &mut Criterion, world: &World) {
    let enums = EnumMap::read(&migrations()).expect("enums.toml");
    let mut group = group(criterion, "checks");
    group.throughput(Throughput::Bytes(world.bytes));
    group.bench_function("quick_check", |bencher| {
        bencher.iter(|| {
            world.reading(async |live| sqlite::check(live, Depth::Quick).await.expect("checked"))
        });
    });
    group.bench_function("enum survey", |bencher| {
        bencher.iter(|| {
            world.reading(async |live| {
                let schema = schema::read(live).await.expect("a schema");
                enums.survey(live, &schema).await.expect("a survey")
            })
        });
    });
    group.bench_function("inventory", |bencher| {
        bencher.iter(|| world.reading(async |live| Inventory::take(live).await.expect("taken")));
    });
    group.bench_function("foreign keys", |bencher| {
        bencher.iter(|| {
            world.with("base.db", Access::ReadWrite, async |live| {
                black_box(ForeignKeys::before(live).await.expect("listed"));
            });
        });
    });
}

fn small(criterion: &mut Criterion, world: &World) {
    let migrations = Migrations::read(&migrations()).expect("migrations");
    let [before, after] = ["few.db", "base.db"].map(|name| {
        world.with(name, Access::ReadOnly, async |live| {
            schema::read(live).await.expect("a schema")
        })
    });
    criterion.bench_function("compare two schemas", |bencher| {
        bencher.iter(|| schema::differences(black_box(&before), black_box(&after)));
    });
    criterion.bench_function("build the schemas of all revisions", |bencher| {
        bencher.iter(|| {
            let built = schema::build_all(&migrations, &world.interrupt);
            world.runtime.block_on(built).expect("schemas")
        });
    });
    criterion.bench_function("open, and read the schema", |bencher| {
        bencher.iter(|| world.reading(async |live| schema::read(live).await.expect("a schema")));
    });
    nothing_to_do(criterion, world);
}

fn nothing_to_do(criterion: &mut Criterion, world: &World) {
    let settings = Settings {
        database: world.path("base.db"),
        migrations: migrations(),
        backups: world.path("backups"),
        lock_timeout: Duration::from_secs(30),
        retention: Policy::default(),
        offsite_retention: Policy::default(),
        verify: Depth::Quick,
        compression: Compression::default(),
        times: safestep::job::Times::default(),
        encryption: None,
        keys: Keys::default(),
        create_if_missing: false,
        offsite: None,
        group: std::path::PathBuf::new(),
        access: safestep::offsite::Access::default(),
        is_named: false,
    };
    let context = Context {
        settings: &settings,
        interrupt: &world.interrupt,
        monitor: &Silent,
    };
    let goal = Goal::head();
    let run = || {
        let mut report = Report::default();
        let job = job::migrate(context, &goal, &mut report);
        world.runtime.block_on(job).expect("done");
        report.outcome
    };
    assert_eq!(run(), "migrated");
    criterion.bench_function("the job with nothing to do", |bencher| bencher.iter(run));
    assert_eq!(run(), "nothing_to_do");
}

/// The last of them migrates the database.
fn pieces(criterion: &mut Criterion) {
    let world = World::new();
    archives(criterion, &world);
    pages(criterion, &world);
    checks(criterion, &world);
    small(criterion, &world);
}

criterion_group!(benches, pieces);
criterion_main!(benches);
