//! A job record that anybody may have written: it is refused, or its files are in its folder; and cleaning up touches
//! nothing outside of that.

use safestep::catalog::{Catalog, Outcome};
use safestep::retention::Policy;

use super::Folder;

const STEM: &str = "20261122T170000.123Z_003-008_1f2e3d4c";

pub fn enter(data: &[u8]) {
    let folder = Folder::new();
    let database = folder.write("data/app.db", b"database");
    folder.write("x.snapshot.db", b"not ours");
    folder.write("backups/x.tar.gz", b"not ours");
    let outside = folder.files();
    let path = folder.write(&format!("backups/app/{STEM}.job.json"), data);
    let catalog = Catalog::new(&folder.path("backups"), &database);

    let _ = catalog.is_settled();
    let _ = catalog.own_records();
    if let Ok(records) = catalog.records() {
        for record in records {
            let slot = catalog.slot_of(&record);
            assert_eq!(slot.record(), path, "the record's own name");
            for file in [slot.archive(), slot.snapshot(), slot.unpacked()] {
                assert_eq!(file.parent(), Some(catalog.folder()));
            }
            let mut closed = record.clone();
            closed.outcome = Some(Outcome::now("completed", None));
            let outcome = closed.outcome.clone().expect("an outcome");
            record.close(&path, outcome).expect("it is written");
            assert_eq!(catalog.records().expect("it is read"), [closed]);
        }
    }
    let _ = catalog.prune(&Policy::default(), None);
    let _ = catalog.sweep();
    let mut files = folder.files();
    files.retain(|file, _| !file.starts_with(catalog.folder()));
    assert_eq!(files, outside, "what is outside of the folder");
}
