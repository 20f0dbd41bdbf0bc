//! A plan as one SQL text, for a DBA who runs it with the sqlite3 shell.

use std::fmt::Write;
use std::path::Path;

use crate::grammar::words;
use crate::history;
use crate::migration::{Migrations, Version, version_name};
use crate::migrator::{Direction, Plan, Step};

/// The text. `in_step` tells whether both history tables are known to say where the plan begins.
#[must_use]
pub fn script(
    migrations: &Migrations,
    plan: &Plan<'_>,
    in_step: bool,
    database: Option<&Path>,
) -> String {
    let mut text = heading(plan, database);
    let opening = if in_step {
        Vec::new()
    } else {
        history::opening_sql(migrations, plan.from)
    };
    if plan.steps.is_empty() && opening.is_empty() {
        text.push_str("-- There is nothing to do.\n");
        return text;
    }
    text.push_str("PRAGMA foreign_keys = OFF;\nBEGIN IMMEDIATE;\n");
    statements(&mut text, &opening);
    let mut at = plan.from;
    for step in &plan.steps {
        let to = after(migrations, step);
        one_step(&mut text, step);
        statements(&mut text, &history::moved_sql(migrations, at, to));
        at = to;
    }
    text.push_str("\nCOMMIT;\n");
    text
}

fn heading(plan: &Plan<'_>, database: Option<&Path>) -> String {
    let (from, to) = (version_name(plan.from), version_name(plan.to));
    let target = database.map_or_else(
        || "a database".to_owned(),
        |path| path.display().to_string(),
    );
    format!(
        "-- safestep {}: {target}, from {from} to {to}.\n\
         -- Stop the application and take a backup first (safestep backup). Then: sqlite3 -bail <database> < this file\n\
         -- Without -bail the shell goes on after an error, and commits.\n\
         -- Nothing is verified and no enum value is normalised; `safestep run` does that afterwards.\n\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Where a database stands after a step.
fn after(migrations: &Migrations, step: &Step<'_>) -> Option<Version> {
    let own = step.migration.version;
    match step.direction {
        Direction::Up => Some(own),
        Direction::Down => migrations
            .all()
            .iter()
            .map(|migration| migration.version)
            .take_while(|version| *version < own)
            .last(),
    }
}

fn one_step(text: &mut String, step: &Step<'_>) {
    let script = step.script();
    let word = match step.direction {
        Direction::Up => "up",
        Direction::Down => "down",
    };
    let (version, description) = (step.migration.version, &step.migration.description);
    let alembic = step.migration.alembic.as_deref();
    let id = alembic.map_or_else(String::new, |id| format!(", Alembic {id}"));
    if script.no_transaction {
        text.push_str("\nCOMMIT;\n");
    }
    let _ = writeln!(
        text,
        "\n-- {word} {version} {description}{id}\n-- {}\n",
        script.path.display()
    );
    text.push_str(script.sql.trim_end());
    let is_ended =
        words(&script.sql).is_ok_and(|words| words.last().is_none_or(|word| word.canonical == ";"));
    text.push_str(if is_ended { "\n" } else { "\n;\n" });
    if script.no_transaction {
        text.push_str("\nBEGIN IMMEDIATE;\n");
    }
}

fn statements(text: &mut String, list: &[String]) {
    if !list.is_empty() {
        text.push_str("\n-- history\n");
    }
    for statement in list {
        let _ = writeln!(text, "{statement};");
    }
}
