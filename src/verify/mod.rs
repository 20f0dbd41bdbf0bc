//! Checks of a migrated database before it is committed. Each returns every problem, not the first.

mod foreign_keys;
mod losses;

pub use foreign_keys::ForeignKeys;
pub use losses::Inventory;
