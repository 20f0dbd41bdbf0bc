//! A folder of migrations as anybody may have written it: it is refused with problems, or it is read as sqlx reads it, and
//! what it declares means the same when it is printed.
//!
//! The input is files, each behind a line `=== name`.

use safestep::enums::EnumMap;
use safestep::error::Error;
use safestep::migration::{Dropped, LARGEST_COUNTED, Migration, Migrations, Rename, Script};
use sha2::{Digest, Sha384};
use sqlx::migrate::Migrator;

use super::{Folder, block_on, is_file_name, sections};

pub fn enter(data: &[u8]) {
    let folder = Folder::new();
    for (name, bytes) in sections(data) {
        if is_file_name(&name) {
            folder.write(&format!("migrations/{name}"), &bytes);
        }
    }
    let path = folder.path("migrations");
    if !path.exists() {
        return;
    }
    let _ = EnumMap::read(&path);
    match Migrations::read(&path) {
        Err(Error::Migrations { problems, .. }) => assert!(!problems.is_empty()),
        Err(error) => panic!("{error}"),
        Ok(migrations) => {
            let all = migrations.all();
            for pair in all.windows(2) {
                let (one, other) = (pair[0].version.0, pair[1].version.0);
                assert!(other == one + 1 || other > one && other > LARGEST_COUNTED);
            }
            for migration in all {
                script(&migration.up);
                script(&migration.down);
            }
            as_sqlx_reads(&path, all);
        }
    }
}

fn script(script: &Script) {
    let bytes = std::fs::read(&script.path).expect("its file");
    assert_eq!(script.sql.as_bytes(), bytes);
    assert_eq!(
        script.checksum.as_bytes(),
        Sha384::digest(&bytes).as_slice()
    );
    for dropped in &script.declared.drops {
        let text = dropped.to_string();
        assert_eq!(Dropped::parse(&text).as_ref(), Ok(dropped), "{text}");
    }
    for rename in &script.declared.renames {
        let text = rename.to_string();
        assert_eq!(Rename::parse(&text).as_ref(), Ok(rename), "{text}");
    }
}

fn as_sqlx_reads(folder: &std::path::Path, all: &[Migration]) {
    let migrator = block_on(Migrator::new(folder)).expect("sqlx reads the folder");
    let theirs: Vec<_> = migrator
        .iter()
        .filter(|m| !m.migration_type.is_down_migration())
        .map(|m| {
            (
                m.version,
                m.description.to_string(),
                m.checksum.to_vec(),
                m.no_tx,
            )
        })
        .collect();
    let ours: Vec<_> = all
        .iter()
        .map(|m| {
            let up = &m.up;
            let checksum = up.checksum.as_bytes().to_vec();
            (
                m.version.0,
                m.description.clone(),
                checksum,
                up.no_transaction,
            )
        })
        .collect();
    assert_eq!(ours, theirs);
}
