//! Autogenerate: the pair of scripts that leads from one schema to another and back.
//!
//! Nothing is written that was not run both ways on an empty copy of the schema, under the same rules as in a job.

mod blueprint;
mod decisions;
mod render;
mod route;
mod table;
mod way;

pub use blueprint::{Blueprint, Change, ColumnOrder, Kind, Object};
pub use decisions::{Decisions, Question};

use self::way::Way;
use crate::error::{Error, Result};
use crate::grammar::identifier;
use crate::schema::{self, Schema};
use crate::sqlite::{Connection, Interrupt, Scope, run_script};
use crate::verify::directives;

/// A pair of scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// From the old schema to the new one.
    pub up: String,
    /// And back.
    pub down: String,
}

/// Drafts the migration from one schema to another; `None` where they are the same.
///
/// # Errors
/// [`Error::Usage`] where a decision or a value is missing, or the change is one to be written by hand.
pub async fn draft(
    from: &Blueprint,
    to: &Blueprint,
    decisions: &Decisions,
) -> Result<Option<Draft>> {
    decisions.check(from, to)?;
    let questions = decisions.questions(from, to);
    if !questions.is_empty() {
        return Err(undecided(&questions));
    }
    if from.differences(to, decisions.column_order).is_empty() {
        return Ok(None);
    }
    let up = route::find(from, to, &Way::up(decisions)).await?;
    let down = route::find(&up.end, from, &Way::down(decisions, from)).await?;
    let (up, down) = (render::script(&up), render::script(&down));
    let mut trial = Trial::new(from, decisions.column_order).await?;
    let before = trial.schema().await?;
    trial.run("up", &up, to).await?;
    trial.require_valid_views(from, to).await?;
    let after = trial.schema().await?;
    trial.run("down", &down, from).await?;
    let back = trial.schema().await?;
    let (renames, renames_back) = (decisions.renames(), decisions.renames_back());
    Ok(Some(Draft {
        up: with_header(&directives(&before, &after, &renames), &up),
        down: with_header(&directives(&after, &back, &renames_back), &down),
    }))
}

/// What the loss gate wants to be declared.
fn with_header(directives: &[String], script: &str) -> String {
    if directives.is_empty() {
        return script.to_owned();
    }
    format!("{}\n\n{script}", directives.join("\n"))
}

fn undecided(questions: &[Question]) -> Error {
    let lines: Vec<String> = questions
        .iter()
        .map(|question| {
            let subject = question.subject();
            let of = question.column.as_ref().map_or(String::new(), |_| format!("{}.", question.table));
            let new: Vec<String> = question.candidates.iter().map(|new| format!("{of}{new}")).collect();
            let renames: Vec<String> = question
                .candidates
                .iter()
                .map(|new| format!("--rename {subject}:{new}"))
                .collect();
            if new.is_empty() {
                return format!(
                    "{subject} is not in the target. Gone for good, with its values: --drop {subject}. Forgotten: put it into the target"
                );
            }
            format!(
                "{subject} is gone, and {} is new. Renamed, so that its values are kept: {}. Gone for good, with its values: --drop {subject}",
                new.join(", "),
                renames.join(" or ")
            )
        })
        .collect();
    Error::Usage {
        message: format!(
            "what became of it is never guessed:\n    {}",
            lines.join("\n    ")
        ),
        hint: "Say for each of them what it is.".into(),
    }
}

/// Runs the finished texts as a job would, on an empty copy of the schema.
struct Trial {
    connection: Connection,
    order: ColumnOrder,
}

impl Trial {
    async fn new(from: &Blueprint, order: ColumnOrder) -> Result<Self> {
        let mut connection = Connection::in_memory(&Interrupt::default()).await?;
        for object in from.objects() {
            connection.run("build a schema", &object.sql).await?;
        }
        Ok(Self { connection, order })
    }

    /// SQLite takes a view on something that does not exist, and says so only when somebody asks.
    async fn require_valid_views(&mut self, from: &Blueprint, to: &Blueprint) -> Result<()> {
        for view in to.of_kind(Kind::View) {
            let is_old = from
                .get(Kind::View, &view.name)
                .is_some_and(|old| old.same_as(view, self.order));
            let look = format!("SELECT 1 FROM {} LIMIT 0", identifier(&view.name));
            match self.connection.execute(&look).await {
                Err(failure) if !is_old => {
                    return Err(Error::Usage {
                        message: format!(
                            "the view {} of the target cannot be read: {}",
                            view.name, failure.message
                        ),
                        hint: "Correct the view in the target.".into(),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn schema(&mut self) -> Result<Schema> {
        schema::read(&mut self.connection).await
    }

    async fn run(&mut self, way: &str, script: &str, goal: &Blueprint) -> Result<()> {
        let connection = &mut self.connection;
        let run = run_script(connection, script, Scope::Transactional).await?;
        let problem = if let Err(failed) = run {
            Some(format!("{}: {}", failed.failure.message, failed.excerpt))
        } else {
            let reached = Blueprint::read(connection).await?;
            let left = reached.differences(goal, self.order);
            left.first()
                .map(|(_, name, _)| format!("{name} would differ"))
        };
        match problem {
            None => Ok(()),
            Some(problem) => Err(Error::Usage {
                message: format!("the drafted way {way} does not lead where it should: {problem}"),
                hint: "Write this migration by hand, and please report the two schemas.".into(),
            }),
        }
    }
}
