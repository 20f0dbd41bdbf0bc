//! `docs/sqlmodel.md`, followed word for word with the real SQLModel: an application of three models comes from an empty folder
//! to its second revision. `SAFESTEP_ALEMBIC` names the python of the virtual environment; see `.ci/run`.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Run, Sandbox};

/// The page's fenced blocks of a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sqlmodel.md")).unwrap();
    let fence = format!("```{language}\n");
    let parts = page.split(&fence).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap().to_owned())
        .collect()
}

/// The page's commands that write a revision.
fn revision_commands() -> Vec<String> {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sqlmodel.md")).unwrap();
    page.lines()
        .filter_map(|line| line.strip_prefix("    safestep "))
        .filter(|line| line.starts_with("revision "))
        .map(str::to_owned)
        .collect()
}

struct Project {
    sandbox: Sandbox,
    path: String,
}

impl Project {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        fs::remove_dir_all(sandbox.migrations()).unwrap();
        let python = std::env::var_os("SAFESTEP_ALEMBIC")
            .map(PathBuf::from)
            .expect("SAFESTEP_ALEMBIC names a python with sqlmodel; .ci/run installs it");
        let folder = python.parent().unwrap().display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
        fs::create_dir(sandbox.path("app")).unwrap();
        fs::write(sandbox.path("app/__init__.py"), "").unwrap();
        let python = blocks("python");
        fs::write(sandbox.path("app/models.py"), &python[0]).unwrap();
        fs::write(sandbox.path("app/print_schema.py"), &python[1]).unwrap();
        fs::write(sandbox.path("safestep.toml"), &blocks("toml")[0]).unwrap();
        Self { sandbox, path }
    }

    /// A command line of the page, as a shell reads it.
    fn shell(&self, command: &str) -> Run {
        let program = env!("CARGO_BIN_EXE_safestep");
        let output = Command::new("sh")
            .args(["-c", &format!("'{program}' {command}")])
            .current_dir(self.sandbox.path("."))
            .env("PATH", &self.path)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .output()
            .unwrap();
        Run::of(&output)
    }

    fn change_models(&self, from: &str, to: &str) {
        let path = self.sandbox.path("app/models.py");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn database(&self) -> PathBuf {
        self.sandbox.path("data/shop.db")
    }

    /// Through the models, as the application does it.
    fn python(&self, code: &str) -> String {
        let output = Command::new("python")
            .args(["-c", code])
            .current_dir(self.sandbox.path("."))
            .env("PATH", &self.path)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        String::from_utf8(output.stdout).unwrap()
    }
}

const ADD: &str = "
from sqlmodel import Session, create_engine
from app.models import Author, Book, Review, Shelf
with Session(create_engine('sqlite:///data/shop.db')) as session:
    author = Author(name='Ada')
    session.add(author)
    session.flush()
    session.add(Book(id=7, author_id=author.id, title='Notes', shelf=Shelf.CELLAR))
    session.flush()
    session.add(Review(book_id=7, number=1, stars=5))
    session.commit()
";

const LOOK: &str = "
from sqlmodel import Session, create_engine, select
from app.models import Author, Book, Review
with Session(create_engine('sqlite:///data/shop.db')) as session:
    author = session.exec(select(Author)).one()
    book = session.exec(select(Book)).one()
    review = session.exec(select(Review)).one()
    print(author.name, author.email, book.id, book.name, book.shelf.value, review.stars)
";

#[test]
fn three_models_come_from_an_empty_folder_to_their_second_revision_by_the_commands_of_the_page() {
    let project = Project::new();
    let commands = revision_commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    project.shell(&commands[0]).expect_code(0);
    project.shell("run --create-if-missing").expect_code(0);
    project.python(ADD);

    let up = blocks("sql");
    let field = &blocks("python")[2];
    project.change_models("unique=True)\n", &format!("unique=True)\n{field}"));
    project.change_models("    title: str", "    name: str");
    let refused = project.shell(&commands[1]).expect_code(2);
    assert!(
        refused.stderr.contains("--rename books.title:name"),
        "{}",
        refused.stderr
    );
    project.shell(&commands[2]).expect_code(0);
    let written =
        fs::read_to_string(project.sandbox.migrations().join("002_email.up.sql")).unwrap();
    assert_eq!(written, up[0]);
    project.shell("run").expect_code(0);
    assert_eq!(project.python(LOOK).trim(), "Ada None 7 Notes CELLAR 5");

    let again = project
        .shell(&commands[0].replace("initial", "again"))
        .expect_code(0);
    assert!(
        again.stdout.contains("Nothing to write"),
        "{}",
        again.stdout
    );
    project.shell("downgrade -1").expect_code(0);
    let rows = support::query(&project.database(), "SELECT title FROM books");
    assert_eq!(rows, ["Notes"]);
}

#[test]
fn a_database_that_create_all_made_is_taken_over() {
    let project = Project::new();
    project.shell(&revision_commands()[0]).expect_code(0);
    project.python(
        "from sqlmodel import SQLModel, create_engine\nfrom app import models\n\
         SQLModel.metadata.create_all(create_engine('sqlite:///data/shop.db'))",
    );
    project.python(ADD);
    let run = project.shell("run").expect_code(0);
    assert!(run.stdout.contains("taken over"), "{}", run.stdout);
    assert_eq!(
        support::query(&project.database(), "SELECT count(*) FROM books"),
        ["1"]
    );
}
