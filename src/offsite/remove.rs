//! Taking a backup away again.

use object_store::ObjectStoreExt;
use object_store::path::Path as Key;

use super::Remote;
use super::failure::Act;
use super::patience::Patience;
use super::refusal::Refusal;
use crate::catalog::Label;
use crate::error::Result;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// It is not there any more; in a bucket with versions, not in what is listed.
    Gone,
    /// A lock of the store's keeps it; in its words.
    Locked(String),
}

impl Remote {
    /// Removes a backup: its label first, so that what is left when this is cut short is none.
    ///
    /// # Errors
    /// [`crate::error::Error::Offsite`]
    pub async fn remove(&self, label: &Label, patience: &Patience<'_>) -> Result<Removed> {
        let act = self.act(format!("remove {} from", label.archive));
        for key in [self.label_key(label), self.archive_key(label)] {
            if let Removed::Locked(words) = self.delete(&key, &act, patience).await? {
                return Ok(Removed::Locked(words));
            }
        }
        Ok(Removed::Gone)
    }

    pub(super) async fn delete(
        &self,
        key: &Key,
        act: &Act,
        patience: &Patience<'_>,
    ) -> Result<Removed> {
        let deleted = self.store.objects().delete(key);
        match patience.within(act, deleted).await? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(Removed::Gone),
            Err(error) => match lock_of(&error) {
                Some(words) => Ok(Removed::Locked(words)),
                None => Err(act.explain(&error)),
            },
        }
    }
}

fn lock_of(error: &object_store::Error) -> Option<String> {
    let refusal = Refusal::within(error)?;
    refusal.is_lock().then(|| refusal.to_string())
}
