//! A database to work on, and the folder in which the jobs run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;
use crate::data::{self, Request};
use crate::tools::Tools;

const USERS: u64 = 3000;

/// One database in its size, made once and kept, and a folder to work in that every row finds empty.
pub(crate) struct World<'t> {
    pub(crate) size: String,
    pub(crate) tools: &'t Tools,
    base: PathBuf,
    folder: PathBuf,
}

impl<'t> World<'t> {
    /// Runs, up to that size, at 003.
    pub(crate) fn of_size(folder: &Path, tools: &'t Tools, size: &str) -> Result<Self, Failure> {
        let request = Request {
            revision: "003".into(),
            bytes: data::bytes(size)?,
            users: USERS,
        };
        Self::new(folder, tools, size.to_owned(), &request)
    }

    /// Users, so many, at 004.
    pub(crate) fn of_users(folder: &Path, tools: &'t Tools, users: u64) -> Result<Self, Failure> {
        let request = Request {
            revision: "004".into(),
            bytes: 0,
            users,
        };
        Self::new(folder, tools, format!("{users} users"), &request)
    }

    fn new(
        folder: &Path,
        tools: &'t Tools,
        size: String,
        request: &Request,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder)?;
        let base = folder.join(format!("{}.db", size.replace(' ', "-")));
        if !base.try_exists()? {
            data::generate(&base, request)?;
        }
        let world = Self {
            size,
            tools,
            base,
            folder: folder.join("work"),
        };
        world.clear()?;
        fs::create_dir_all(&world.folder)?;
        fs::write(world.folder.join("004-008.sql"), script()?)?;
        Ok(world)
    }

    /// Removes what the jobs have left behind.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        if self.folder.try_exists()? {
            fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }

    /// A file in the folder to work in.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// With the names in it replaced.
    pub(crate) fn expand(&self, text: &str) -> String {
        self.tools.expand(text, &self.base)
    }

    /// Runs a text in the shell, which must succeed.
    pub(crate) fn shell(&self, text: &str) -> Result<(), Failure> {
        self.run(Command::new("sh").args(["-euc", &self.expand(text)]))
    }

    /// Runs a program in the folder, which must succeed.
    pub(crate) fn run(&self, command: &mut Command) -> Result<(), Failure> {
        let output = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .env("DATABASE_URL", "sqlite:///theirs.db")
            // Compiled once, and not beside the sources.
            .env("PYTHONPYCACHEPREFIX", self.folder.with_extension("pycache"))
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        Err(format!("{command:?} failed with {}:\n{said}", output.status).into())
    }
}

/// The migrations 004 to 008 as one transaction for the shell of SQLite.
fn script() -> Result<String, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".up.sql") && ("004".."009").contains(&&name[..3])
    });
    files.sort();
    let mut script = String::from("BEGIN IMMEDIATE;\n");
    for file in files {
        script.push_str(&fs::read_to_string(file)?);
    }
    Ok(script + "COMMIT;\n")
}
