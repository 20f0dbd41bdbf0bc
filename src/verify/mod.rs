//! Checks of a migrated database before it is committed. Each returns every problem, not the first.

mod foreign_keys;
mod inventory;
mod losses;
mod parts;
mod rename;
mod touched;

pub use foreign_keys::ForeignKeys;
pub use inventory::{Footprint, Inventory};
pub use losses::{directives, undeclared_losses};
pub use touched::Touched;
