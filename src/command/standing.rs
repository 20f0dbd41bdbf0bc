//! Where a database stands, for the verbs that show it: also when it is newer than the files.

use super::open::open;
use crate::error::{Error, NewerRevision, Result};
use crate::history::{self, History};
use crate::job::Context;
use crate::migration::Migrations;

pub(super) enum Standing {
    /// At a revision of the files, or of those that the database keeps itself; these are both.
    Known(History, Migrations),
    /// At a revision of which there is no more than a name.
    Newer(NewerRevision),
}

pub(super) async fn standing(context: &Context<'_>, files: &Migrations) -> Result<Standing> {
    let mut connection = open(context).await?;
    let read = async {
        let known = history::with_stored(&mut connection, files).await?;
        let history = History::read(&mut connection, &known).await?;
        Ok((history, known))
    }
    .await;
    connection.close().await?;
    match read {
        Ok((history, known)) => Ok(Standing::Known(history, known)),
        Err(Error::UnknownRevision(newer)) => Ok(Standing::Newer(*newer)),
        Err(error) => Err(error),
    }
}
