//! A revision argument as anybody may type it: it is refused, or it is a revision of the folder.
//!
//! The first line is where the database stands, a number or nothing; the rest is the argument.

use std::sync::OnceLock;

use safestep::migration::{Migrations, Target, Version};

use super::Folder;

pub fn enter(data: &[u8]) {
    static FOLDERS: OnceLock<[Migrations; 2]> = OnceLock::new();
    let text = String::from_utf8_lossy(data);
    let (current, argument) = text.split_once('\n').unwrap_or(("", &text));
    let current = current.parse().ok().map(Version);
    for migrations in FOLDERS.get_or_init(|| [folder(0), folder(1)]) {
        let target = Target::parse(argument);
        if let Ok(Some(version)) = target.resolve(migrations, current) {
            assert!(migrations.get(version).is_some(), "{version} is not there");
        }
    }
}

/// From this number on; ids of which one is the beginning of another, and one that is a number.
fn folder(first: usize) -> Migrations {
    let folder = Folder::new();
    let ids = ["", "1a2b3c", "1a2b3c4d", "42", "head+1", "005_five"];
    for (number, id) in ids.iter().enumerate().skip(first) {
        let header = match *id {
            "" => String::new(),
            id => format!("-- alembic: {id}\n"),
        };
        folder.write(&format!("{number:03}_x.up.sql"), header.as_bytes());
        folder.write(&format!("{number:03}_x.down.sql"), b"");
    }
    Migrations::read(&folder.path("")).expect("a good folder")
}
