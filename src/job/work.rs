//! What happens under the write lock: snapshot, record, change, and the way back.

use super::Context;
use super::early::Early;
use super::keep::Keeping;
use super::offsite::protect;
use super::run::{Before, Run};
use crate::catalog::{Catalog, JobId, JobKind, JobRecord, Purpose, discard_database};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::history;
use crate::migration::version_name;
use crate::migrator::{self, Plan, Protection};
use crate::restore::{Proof, Restorer, data_version};
use crate::snapshot::{self, Examine, Snapshot};
use crate::sqlite::{self, Access, Begin, Connection, Depth, FileFacts};

const SAVEPOINT: &str = "safestep_job";

/// What is left to do when the lock is given up.
pub(super) struct Changed {
    pub(super) snapshot: Snapshot,
    pub(super) record: JobRecord,
    pub(super) keeping: Keeping,
    pub(super) failure: Option<Error>,
}

/// A job that holds its lock and knows its plan.
pub(super) struct Work<'w> {
    /// The name of its snapshot.
    pub(super) job: JobId,
    pub(super) plan: &'w Plan<'w>,
    pub(super) from: &'w str,
    pub(super) before: Before,
    pub(super) facts: &'w FileFacts,
    pub(super) catalog: &'w Catalog,
    /// The database was found to be sound a moment ago.
    pub(super) is_checked: bool,
}

impl Work<'_> {
    /// In the one transaction that `live` has open.
    pub(super) async fn transactional(
        mut self,
        run: &mut Run<'_>,
        live: &mut Connection,
        early: Option<Early>,
    ) -> Result<Changed> {
        let context = run.context;
        let (snapshot, mut reader, keeping) = if let Some(early) = early {
            self.before.add_enums(early.enums);
            (early.snapshot, early.reader, Some(early.keeping))
        } else {
            let (snapshot, reader) = self.snapshot_now(run).await?;
            (snapshot, reader, None)
        };
        let version = data_version(&mut reader).await?;
        let keeping = match self.protected(run, &snapshot, keeping).await {
            Ok(keeping) => keeping,
            Err(error) => {
                run.report.note("close", reader.close().await);
                return Err(error);
            }
        };
        let (record, keeping) = self.open_record(&snapshot, JobKind::Transactional, keeping)?;
        let result = self.in_transaction(run, live, &snapshot).await;
        let failure = match result {
            Ok(()) => None,
            Err(cause) => {
                let cause = run.explain(cause);
                context.interrupt.shield();
                run.phase("undo");
                fault::reach(Point::UndoBegun);
                let undone = match restorer(&context, &snapshot) {
                    Ok(restorer) => {
                        restorer
                            .undo_transaction(live, SAVEPOINT, &mut reader, version)
                            .await
                    }
                    Err(error) => Err(error),
                };
                Some(judge(run, cause, undone, &snapshot))
            }
        };
        if matches!(live.in_transaction().await, Ok(false)) {
            run.report.unlocked();
        }
        run.report.note("close", reader.close().await);
        Ok(Changed {
            snapshot,
            record,
            keeping,
            failure,
        })
    }

    /// Under the lock that `live` holds, through a second connection; the enum columns are looked at meanwhile.
    async fn snapshot_now(&mut self, run: &mut Run<'_>) -> Result<(Snapshot, Connection)> {
        let context = run.context;
        run.phase("snapshot");
        let mut reader =
            Connection::open(context.database(), Access::ReadOnly, context.interrupt).await?;
        let surveyed = self.before.survey_beside(run);
        let examine = match context.settings.verify {
            Depth::Quick if self.is_checked => Examine::Nothing,
            Depth::Quick => Examine::LiveBeside,
            Depth::Full => Examine::Copy(Depth::Full),
        };
        let snapshot = self.snapshot(run, &mut reader, examine).await?;
        match surveyed.finish(context.interrupt).await {
            Ok(surveys) => self.before.add_enums(surveys),
            Err(error) => {
                let _ = discard_database(&snapshot.path());
                return Err(error);
            }
        }
        Ok((snapshot, reader))
    }

    async fn in_transaction(
        &self,
        run: &mut Run<'_>,
        live: &mut Connection,
        snapshot: &Snapshot,
    ) -> Result<()> {
        live.run("set a savepoint", &format!("SAVEPOINT {SAVEPOINT}"))
            .await?;
        let protection = Protection::Snapshot(snapshot);
        let timings = if run.task.is_history_only() {
            Vec::new()
        } else {
            run.apply(live, self.plan, protection, &self.before).await?
        };
        self.commit(run, live, &timings).await
    }

    /// With files that must run outside a transaction; `live` owns the database exclusively.
    pub(super) async fn non_transactional(
        &self,
        run: &mut Run<'_>,
        live: &mut Connection,
    ) -> Result<Changed> {
        let context = run.context;
        // In EXCLUSIVE locking mode the lock stays when the transaction ends. Nothing was written but the temporary
        // list of foreign-key violations, which a rollback would take away.
        sqlite::commit(live, context.deadline(), context.interrupt, || ()).await?;
        fault::reach(Point::LockExclusive);
        run.phase("snapshot");
        let examine = Examine::Copy(context.settings.verify);
        let snapshot = self.snapshot(run, live, examine).await?;
        let keeping = self.protected(run, &snapshot, None).await?;
        let (record, keeping) = self.open_record(&snapshot, JobKind::NonTransactional, keeping)?;
        let result = self.outside_transaction(run, live, &snapshot).await;
        let failure = match result {
            Ok(()) => None,
            Err(cause) => {
                let cause = run.explain(cause);
                context.interrupt.shield();
                run.phase("restore");
                fault::reach(Point::UndoBegun);
                let restored = match restorer(&context, &snapshot) {
                    Ok(restorer) => restorer.put_back(live).await,
                    Err(error) => Err(error),
                };
                Some(judge(run, cause, restored, &snapshot))
            }
        };
        Ok(Changed {
            snapshot,
            record,
            keeping,
            failure,
        })
    }

    async fn outside_transaction(
        &self,
        run: &mut Run<'_>,
        live: &mut Connection,
        snapshot: &Snapshot,
    ) -> Result<()> {
        let context = run.context;
        run.phase("migrate");
        let ran = migrator::apply_outside_transaction(
            live,
            self.plan,
            Protection::Snapshot(snapshot),
            context.deadline(),
            context.interrupt,
            context.monitor,
        )
        .await?;
        sqlite::begin(
            live,
            Begin::Immediate,
            context.deadline(),
            context.interrupt,
            || (),
        )
        .await?;
        let timings = run.normalise_and_verify(live, ran, &self.before).await?;
        self.commit(run, live, &timings).await
    }

    async fn commit(
        &self,
        run: &mut Run<'_>,
        live: &mut Connection,
        timings: &[history::Timing],
    ) -> Result<()> {
        let context = run.context;
        run.phase("commit");
        history::write(live, &run.migrations, self.plan.to, timings).await?;
        context.interrupt.check()?;
        fault::reach(Point::CommitBefore);
        let committed = sqlite::commit(
            live,
            context.deadline(),
            context.interrupt,
            context.wait_notice(),
        )
        .await;
        fault::reach(Point::CommitAfter);
        if let Err(cause) = committed {
            if !self.has_committed(run, live).await {
                return Err(cause);
            }
            run.report.note("commit", Err::<(), _>(cause));
        }
        context.interrupt.shield();
        run.record_applied(self.plan, timings);
        Ok(())
    }

    /// SQLite reports a COMMIT as failed, too, when it is done and only giving up the lock has failed.
    async fn has_committed(&self, run: &mut Run<'_>, live: &mut Connection) -> bool {
        if !matches!(live.in_transaction().await, Ok(false)) {
            return false;
        }
        if self.plan.from == self.plan.to {
            return run.decide(live).await.is_ok_and(|decision| decision.done);
        }
        let seen = run.recorded(live).await.ok();
        seen.is_some() && seen == run.report.to
    }

    async fn snapshot(
        &self,
        run: &Run<'_>,
        source: &mut Connection,
        examine: Examine,
    ) -> Result<Snapshot> {
        let context = run.context;
        let request = snapshot::Request {
            catalog: self.catalog,
            database: context.database(),
            job: &self.job,
            purpose: Purpose::Migration,
            facts: self.facts,
            from: self.from.to_owned(),
            to: version_name(self.plan.to),
            rows: self.before.inventory.rows.clone(),
            examine,
        };
        snapshot::take(source, request, context.surroundings()).await
    }

    /// The archive in the making, and the copy off site first where one is required. Writers wait for it.
    async fn protected(
        &self,
        run: &mut Run<'_>,
        snapshot: &Snapshot,
        keeping: Option<Keeping>,
    ) -> Result<Keeping> {
        let keeping = protect(run, self.catalog, snapshot, keeping).await;
        if keeping.is_err() {
            run.report
                .note("snapshot", discard_database(&snapshot.path()));
        }
        keeping
    }

    /// From here on the database may change: the record is durable. The archive is made beside.
    fn open_record(
        &self,
        snapshot: &Snapshot,
        kind: JobKind,
        keeping: Keeping,
    ) -> Result<(JobRecord, Keeping)> {
        let record = self
            .catalog
            .new_record(&snapshot.slot, kind, &snapshot.manifest);
        record.write(&snapshot.slot.record())?;
        fault::reach(Point::RecordWritten);
        Ok((record, keeping.allow()))
    }
}

/// The failure to report: the cause, or that the database could not be proven to be as before.
fn judge(run: &mut Run<'_>, cause: Error, undone: Result<Proof>, snapshot: &Snapshot) -> Error {
    run.report.normalised.clear();
    match undone {
        Ok(proof) => {
            run.report.proof = Some(proof);
            cause
        }
        Err(error) => Error::NotProven {
            cause: Box::new(cause),
            detail: error.to_string(),
            backup: snapshot.slot.archive(),
        },
    }
}

fn restorer<'a>(context: &Context<'a>, snapshot: &Snapshot) -> Result<Restorer<'a>> {
    Ok(Restorer {
        snapshot: snapshot.path(),
        expected: sqlite::digest_file(&snapshot.path())?,
        journal_mode: snapshot.manifest.journal_mode.clone(),
        deadline: context.deadline(),
        interrupt: context.interrupt,
        monitor: context.monitor,
    })
}
