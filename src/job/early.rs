//! The snapshot before the lock. In WAL mode a reader sees one state for as long as it likes while writers go on, so the
//! database is copied, checked and surveyed before anybody has to wait. The copy counts if nobody has committed since then,
//! which `PRAGMA data_version` tells under the write lock (<https://www.sqlite.org/pragma.html#pragma_data_version>).
//! Otherwise it is thrown away, and another one is taken under the lock.

use super::keep::Keeping;
use super::offsite::protect;
use super::run::Run;
use super::task::Decision;
use crate::catalog::{Purpose, discard_database};
use crate::enums::Surveys;
use crate::error::{Error, Result};
use crate::migration::version_name;
use crate::restore::data_version;
use crate::snapshot::{self, Examine, Snapshot};
use crate::sqlite::{self, Access, Connection, FileFacts};
use crate::verify::Inventory;

/// A snapshot of the state that `reader` saw.
pub(super) struct Early {
    pub(super) snapshot: Snapshot,
    pub(super) enums: Surveys,
    /// Its archive in the making.
    pub(super) keeping: Keeping,
    pub(super) reader: Connection,
    version: i64,
}

impl Early {
    /// Takes one. `None` where only a writer can look, where others would have to wait for the reader, or where there is
    /// nothing to do.
    pub(super) async fn take(run: &mut Run<'_>) -> Result<Option<Self>> {
        let context = run.context;
        let opened =
            Connection::open(context.database(), Access::ReadOnly, context.interrupt).await;
        let Ok(mut reader) = opened else {
            return Ok(None);
        };
        let copied = copy(run, &mut reader).await;
        let ended = sqlite::rollback(&mut reader).await;
        let (copied, version) = match copied {
            Ok(Some(copied)) => copied,
            Ok(None) => return reader.close().await.map(|()| None),
            Err(error) => {
                reader.close().await?;
                return Err(error);
            }
        };
        let Copied {
            snapshot,
            enums,
            keeping,
        } = copied;
        let early = Self {
            snapshot,
            enums,
            keeping,
            reader,
            version,
        };
        match ended {
            Ok(()) => Ok(Some(early)),
            Err(error) => {
                early.discard().await?;
                Err(error)
            }
        }
    }

    /// Itself, if the database is still what was copied; otherwise the copy is removed. Under the write lock that lasts.
    pub(super) async fn if_current(mut self) -> Result<Option<Self>> {
        let now = data_version(&mut self.reader).await;
        if matches!(now, Ok(version) if version == self.version) {
            return Ok(Some(self));
        }
        self.discard().await?;
        now.map(|_| None)
    }

    /// Itself, when the copy off site is there that may be required.
    pub(super) async fn protected(self, run: &mut Run<'_>) -> Result<Self> {
        let Self {
            snapshot,
            enums,
            keeping,
            reader,
            version,
        } = self;
        let catalog = run.context.catalog();
        match protect(run, &catalog, &snapshot, Some(keeping)).await {
            Ok(keeping) => Ok(Self {
                snapshot,
                enums,
                keeping,
                reader,
                version,
            }),
            Err(error) => {
                discard_database(&snapshot.path())?;
                reader.close().await?;
                Err(error)
            }
        }
    }

    /// Removes the copy.
    pub(super) async fn discard(self) -> Result<()> {
        self.keeping.give_up().await;
        discard_database(&self.snapshot.path())?;
        self.reader.close().await
    }
}

struct Copied {
    snapshot: Snapshot,
    enums: Surveys,
    keeping: Keeping,
}

async fn copy(run: &mut Run<'_>, reader: &mut Connection) -> Result<Option<(Copied, i64)>> {
    let context = run.context;
    let Some((facts, decision, inventory)) = look(run, reader).await? else {
        return Ok(None);
    };
    let version = data_version(reader).await?;
    let migrations = run.migrations.clone();
    let to = decision.plan(&migrations).to;
    let catalog = context.catalog();
    catalog.prepare()?;
    context.make_room(&facts)?;
    snapshot::require_room(&catalog, context.database(), &facts)?;
    run.phase("snapshot");
    let request = snapshot::Request {
        catalog: &catalog,
        database: context.database(),
        job: &run.report.job,
        purpose: Purpose::Migration,
        facts: &facts,
        from: decision.from_name,
        to: version_name(to),
        rows: inventory.rows.clone(),
        examine: Examine::Nothing,
    };
    let snapshot = snapshot::take(reader, request, context.surroundings()).await?;
    let keeping = Keeping::start(&catalog, &snapshot);
    match look_through(run, &snapshot, &inventory).await {
        Ok(enums) => {
            let copied = Copied {
                snapshot,
                enums,
                keeping,
            };
            Ok(Some((copied, version)))
        }
        Err(error) => {
            keeping.give_up().await;
            discard_database(&snapshot.path())?;
            Err(error)
        }
    }
}

/// Checks the copy, and looks at its enum columns meanwhile.
async fn look_through(
    run: &Run<'_>,
    snapshot: &Snapshot,
    inventory: &Inventory,
) -> Result<Surveys> {
    let context = run.context;
    context.monitor.step("check of the copy");
    let (sound, surveys) = tokio::join!(
        snapshot::require_sound(
            snapshot,
            context.database(),
            context.settings.verify,
            context.interrupt,
        ),
        survey(run, snapshot, inventory),
    );
    sound.and(surveys)
}

/// Begins to read, and pins the state.
async fn look(
    run: &mut Run<'_>,
    reader: &mut Connection,
) -> Result<Option<(FileFacts, Decision, Inventory)>> {
    let context = run.context;
    let looked = async {
        sqlite::begin_reading(
            reader,
            context.deadline(),
            context.interrupt,
            context.wait_notice(),
        )
        .await?;
        let facts = FileFacts::read(reader).await?;
        let decision = run.decide(reader).await?;
        if !facts.is_wal() || decision.done {
            return Ok(None);
        }
        Ok(Some((facts, decision, Inventory::take(reader).await?)))
    };
    match looked.await {
        Err(Error::Sqlite { .. }) => Ok(None),
        looked => looked,
    }
}

async fn survey(run: &Run<'_>, snapshot: &Snapshot, inventory: &Inventory) -> Result<Surveys> {
    let mut copy =
        Connection::open(&snapshot.path(), Access::ReadOnly, run.context.interrupt).await?;
    let surveys = run
        .enums
        .survey_tables(&mut copy, inventory.schema(), |_| true)
        .await;
    copy.close().await?;
    surveys
}
