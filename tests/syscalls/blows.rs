//! Which failures suit which call.

use nix::errno::Errno;

use super::support::full;
use super::support::tracer::{Blow, Fault, Point};

/// How many faults a scenario gets when the sweep is not in full.
const REDUCED: usize = 36;

/// Every fault for these calls, under the name of its row; without `SAFESTEP_TEST_FULL=1` evenly spread ones of them.
pub fn faults(points: &[Point]) -> Vec<(String, Fault)> {
    let all: Vec<(String, Fault)> = points
        .iter()
        .flat_map(|point| {
            blows(point).into_iter().map(|blow| {
                let point = point.clone();
                (row(blow), Fault { point, blow })
            })
        })
        .collect();
    if full() {
        return all;
    }
    let step = all.len().div_ceil(REDUCED).max(1);
    all.into_iter().step_by(step).collect()
}

fn row(blow: Blow) -> String {
    match blow {
        Blow::Fails(errno) => format!("{errno:?}"),
        Blow::FailsFromHereOn(errno) => format!("{errno:?} from there on"),
        Blow::Half => "half a write".into(),
        Blow::HalfAndKilled => "half a write, and SIGKILL".into(),
        Blow::Killed => "SIGKILL".into(),
    }
}

fn blows(point: &Point) -> Vec<Blow> {
    use Errno::{EACCES, EDQUOT, EINTR, EINVAL, EIO, EMFILE, ENOLCK, ENOSPC, EROFS};
    let (once, kills): (&[Errno], &[Blow]) = match point.call {
        "read" | "pread64" => (&[EIO], &[]),
        "write" | "pwrite64" => (
            &[EIO, ENOSPC, EDQUOT],
            &[Blow::Half, Blow::HalfAndKilled, Blow::Killed],
        ),
        "fsync" | "fdatasync" => (&[EIO, ENOSPC, EDQUOT], &[Blow::Killed]),
        "ftruncate" => (&[EIO, ENOSPC], &[Blow::Killed]),
        "mkdir" | "mkdirat" => (&[EIO, ENOSPC, EDQUOT, EACCES, EROFS], &[Blow::Killed]),
        "rename" | "link" | "linkat" => (&[EIO, ENOSPC, EACCES, EROFS], &[Blow::Killed]),
        // EINVAL: a file system that does not know RENAME_NOREPLACE.
        "renameat2" => (&[EIO, ENOSPC, EACCES, EROFS, EINVAL], &[Blow::Killed]),
        "unlink" | "unlinkat" => (&[EIO, EACCES, EROFS], &[Blow::Killed]),
        "open" | "openat" if point.creates => {
            (&[EIO, ENOSPC, EDQUOT, EACCES, EROFS], &[Blow::Killed])
        }
        "open" | "openat" => (&[EIO, EACCES, EMFILE], &[Blow::Killed]),
        "fcntl" | "flock" => (&[EIO, ENOLCK, EINTR], &[Blow::Killed]),
        other => panic!("nothing is known of {other}"),
    };
    let mut blows: Vec<Blow> = once.iter().map(|errno| Blow::Fails(*errno)).collect();
    blows.extend(kills);
    let on_the_disk = !point.file.starts_with("out/");
    let reads = matches!(point.call, "read" | "pread64" | "fcntl" | "flock");
    if on_the_disk && !reads {
        blows.push(Blow::FailsFromHereOn(EIO));
    }
    let needs_room =
        matches!(point.call, "write" | "pwrite64" | "mkdir" | "mkdirat") || point.creates;
    if on_the_disk && needs_room {
        blows.push(Blow::FailsFromHereOn(ENOSPC));
    }
    blows
}
