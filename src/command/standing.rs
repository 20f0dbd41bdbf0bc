//! Where a database stands, for the verbs that show it: also when it is newer than the files.

use super::open::open;
use crate::error::{Error, NewerRevision, Result};
use crate::history::{self, AppliedRow, History, applied_rows};
use crate::job::Context;
use crate::migration::{Migrations, Version};

pub(super) enum Standing {
    /// At a revision of the files, or of those that the database keeps itself.
    Known(Known),
    /// At a revision of which there is no more than a name.
    Newer(NewerRevision),
}

pub(super) struct Known {
    pub(super) history: History,
    /// The files, and what the database keeps above them.
    pub(super) migrations: Migrations,
    /// When each was applied.
    pub(super) rows: Vec<AppliedRow>,
}

impl Known {
    pub(super) fn row(&self, version: Version) -> Option<&AppliedRow> {
        self.rows
            .iter()
            .find(|row| row.version == version && Some(version) <= self.history.current)
    }
}

pub(super) async fn standing(context: &Context<'_>, files: &Migrations) -> Result<Standing> {
    let mut connection = open(context).await?;
    let read = async {
        let migrations = history::with_stored(&mut connection, files).await?;
        let history = History::read(&mut connection, &migrations).await?;
        let rows = applied_rows(&mut connection).await?;
        Ok(Known {
            history,
            migrations,
            rows,
        })
    }
    .await;
    connection.close().await?;
    match read {
        Ok(known) => Ok(Standing::Known(known)),
        Err(Error::UnknownRevision(newer)) => Ok(Standing::Newer(*newer)),
        Err(error) => Err(error),
    }
}
