//! What the loss gate compares: what a database holds, and what each file of a plan left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::migration::Declarations;
use crate::schema::{self, Nature, Schema};
use crate::sqlite::{Connection, quoted};

/// Objects and row counts of a database.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    pub(super) schema: Schema,
    /// Rows by table.
    pub rows: BTreeMap<String, i64>,
}

impl Inventory {
    /// Takes it. Counting reads the smallest index of each table.
    pub async fn take(connection: &mut Connection) -> Result<Self> {
        let schema = schema::read(connection).await?;
        let mut rows = BTreeMap::new();
        // How many rows a module needs for its own content says nothing.
        let counted = schema
            .tables
            .iter()
            .filter(|t| t.1.nature != Nature::Shadow);
        for (name, table) in counted {
            let sql = format!("SELECT count(*) FROM {}", quoted(name));
            match connection.scalar("count the rows", &sql).await {
                // Its module may be missing here, or the table that it takes its content from.
                Err(Error::Sqlite { .. }) if table.nature == Nature::Virtual => {}
                count => {
                    rows.insert(name.clone(), count?);
                }
            }
        }
        Ok(Self { schema, rows })
    }

    /// The schema that was seen.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

/// What one file of a plan left behind.
#[derive(Debug, Clone)]
pub struct Footprint {
    /// The file.
    pub file: PathBuf,
    /// Whether its first line must stay the first.
    pub no_transaction: bool,
    /// What it owns up to.
    pub declared: Declarations,
    /// The schema after it.
    pub schema: Schema,
    /// Rows that its DELETE statements deleted, by table.
    pub deleted: BTreeMap<String, i64>,
    /// Tables that it could have taken rows from.
    pub taken_from: BTreeSet<String>,
}
