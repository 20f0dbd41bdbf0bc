//! Where the schema that the migrations should lead to comes from.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use super::files::{SCHEMA_LIMIT_BYTES, schema_file};
use crate::autogenerate::Blueprint;
use crate::clock::Deadline;
use crate::error::{Error, Problem, Result};
use crate::sqlite::{Access, Connection, FileFacts, Interrupt, ScriptFailure};
use crate::storage::{self, PathKind};

/// Between two looks at the interrupt.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// An application that only prints its schema is done long before.
const COMMAND_LIMIT: Duration = Duration::from_mins(2);

/// The target of autogenerate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `schema.sql` in the folder of migrations.
    SchemaFile(PathBuf),
    /// The schema of another database.
    Database(PathBuf),
    /// What a shell command prints.
    Command(String),
}

impl Source {
    /// `schema.sql` in a folder of migrations.
    #[must_use]
    pub fn schema_file(migrations: &Path) -> Self {
        Self::SchemaFile(schema_file(migrations))
    }

    /// As [`Self::schema_file`], where there is one.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn schema_file_if_there(migrations: &Path) -> Result<Option<Self>> {
        let path = schema_file(migrations);
        let is_there = storage::kind(&path)? != PathKind::Missing;
        Ok(is_there.then_some(Self::SchemaFile(path)))
    }

    /// Reads the target.
    ///
    /// # Errors
    /// [`Error::Migrations`] where `schema.sql` is no schema, [`Error::Usage`] where the command fails or prints none.
    pub async fn read(&self, interrupt: &Interrupt) -> Result<Blueprint> {
        match self {
            Self::SchemaFile(path) => read_file(path, interrupt).await,
            Self::Database(path) => read_database(path, interrupt).await,
            Self::Command(command) => read_command(command, interrupt).await,
        }
    }
}

async fn read_file(path: &Path, interrupt: &Interrupt) -> Result<Blueprint> {
    if !matches!(storage::kind(path)?, PathKind::File(_)) {
        return Err(Error::Usage {
            message: format!(
                "{} is not there, and nothing else is given as the target",
                path.display()
            ),
            hint: format!(
                "Begin with the schema at head, `safestep heads --schema > {}`, and change it; or give --from or --from-command.",
                path.display()
            ),
        });
    }
    let unreadable = |message: String| Error::Migrations {
        folder: storage::folder_of(path),
        problems: vec![Problem::new(storage::name_of(path), message)],
    };
    let bytes = storage::read_bounded(path, SCHEMA_LIMIT_BYTES)?;
    let script = String::from_utf8(bytes).map_err(|_| unreadable("is not UTF-8".into()))?;
    Blueprint::of_script(&script, interrupt)
        .await?
        .map_err(|failed| unreadable(place(&failed)))
}

fn place(failed: &ScriptFailure) -> String {
    format!(
        "line {}: {}: {}",
        failed.line, failed.failure.message, failed.excerpt
    )
}

async fn read_database(path: &Path, interrupt: &Interrupt) -> Result<Blueprint> {
    if !path.is_file() {
        return Err(Error::DatabaseMissing {
            path: path.to_path_buf(),
        });
    }
    let mut connection = Connection::open(path, Access::ReadOnly, interrupt).await?;
    FileFacts::read(&mut connection).await?;
    let blueprint = Blueprint::read(&mut connection).await?;
    connection.close().await?;
    Ok(blueprint)
}

async fn read_command(command: &str, interrupt: &Interrupt) -> Result<Blueprint> {
    let failed = |message: String| {
        Error::Usage {
        message: format!("--from-command '{command}' {message}"),
        hint: "Run the command by hand: it must print the CREATE statements of the whole schema, and nothing else, on standard output."
            .into(),
    }
    };
    let Some(output) = output_of(command, interrupt).await? else {
        return Err(failed(format!(
            "has not ended after {} s",
            COMMAND_LIMIT.as_secs()
        )));
    };
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!(
            "failed ({}):\n{}",
            output.status,
            words.trim_end()
        )));
    }
    let script = String::from_utf8(output.stdout).map_err(|_| failed("printed no UTF-8".into()))?;
    let blueprint = Blueprint::of_script(&script, interrupt)
        .await?
        .map_err(|problem| failed(format!("printed what is no schema: {}", place(&problem))))?;
    if blueprint.objects().is_empty() {
        return Err(failed("printed no CREATE statement".into()));
    }
    Ok(blueprint)
}

/// What a shell command prints; `None` where it does not end. In a process group of its own, so that nothing of it stays
/// behind when it has to be ended.
async fn output_of(command: &str, interrupt: &Interrupt) -> Result<Option<Output>> {
    let child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(Error::io("run", Path::new("sh")))?;
    let group = child.id();
    let deadline = Deadline::after(COMMAND_LIMIT);
    let mut output = std::pin::pin!(child.wait_with_output());
    let ended = loop {
        match tokio::time::timeout(LOOK_AGAIN, &mut output).await {
            Ok(output) => return output.map(Some).map_err(Error::io("run", Path::new("sh"))),
            Err(_) if deadline.remaining().is_none() => break Ok(None),
            Err(_) => {
                if let Err(interrupted) = interrupt.check() {
                    break Err(interrupted);
                }
            }
        }
    };
    let pid = group.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    if let Some(pid) = pid {
        // It may have ended by itself just now.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    ended
}
