//! A share of the databases, so that several machines do the whole.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// One of so many shares; the first is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Shard {
    /// Which one.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// The share with this index.
    ///
    /// # Errors
    /// A sentence, where there is no such share.
    pub fn new(index: u64, of: u64) -> Result<Self, String> {
        match of {
            0 => Err("0 shards would leave every database out".into()),
            _ if index >= of => Err(format!(
                "there is no shard {index} of {of}: they are numbered from 0 to {}",
                of - 1
            )),
            _ => Ok(Self { index, of }),
        }
    }

    /// Whether the database of this name is in it. That depends on nothing but the name, so no other one moves when one
    /// is added.
    #[must_use]
    pub fn holds(&self, name: &Path) -> bool {
        hash(name) % self.of == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (index, of) = text
            .split_once('/')
            .ok_or_else(|| format!("'{text}' is no shard"))?;
        let number = |text: &str| {
            text.trim()
                .parse()
                .map_err(|_| format!("'{text}' is not the number of a shard"))
        };
        Self::new(number(index)?, number(of)?)
    }
}

/// The same on every machine and in every version: shards of one deployment may run different ones.
pub(super) fn hash(name: &Path) -> u64 {
    let digest = Sha256::digest(name.as_os_str().as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_exactly_one_shard_and_no_other_name_has_a_say_in_it() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let name: String = (0..random.usize(1..40)).map(|_| random.char(..)).collect();
            let of = random.u64(1..60);
            let holding: Vec<u64> = (0..of)
                .filter(|index| Shard { index: *index, of }.holds(Path::new(&name)))
                .collect();
            assert_eq!(holding.len(), 1, "{name:?} of {of}: {holding:?}");
        }
    }

    #[test]
    fn the_share_of_a_name_never_changes() {
        let shard_of = |name: &str| {
            (0..4).find(|index| {
                Shard {
                    index: *index,
                    of: 4,
                }
                .holds(Path::new(name))
            })
        };
        let found: Vec<_> = ["acme/app.db", "beta/app.db", "gamma/app.db", "ä/app.db"]
            .map(shard_of)
            .into();
        assert_eq!(found, [Some(0), Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn the_shares_are_of_about_the_same_size() {
        for of in [2, 4, 10] {
            let shard = Shard { index: 0, of };
            let held = (0..10_000)
                .filter(|number| shard.holds(Path::new(&format!("tenant{number}/app.db"))))
                .count() as u64;
            let fair = 10_000 / of;
            assert!(
                held.abs_diff(fair) < fair / 5,
                "{held} of 10000 in 1 of {of}"
            );
        }
    }

    #[test]
    fn a_shard_that_makes_no_sense_is_refused() {
        for text in [
            "", "1", "4/4", "5/4", "0/0", "-1/4", "a/b", "1/", "/4", "1/2/3",
        ] {
            assert!(text.parse::<Shard>().is_err(), "{text:?} was accepted");
        }
        assert_eq!("3/4".parse(), Ok(Shard { index: 3, of: 4 }));
    }
}
