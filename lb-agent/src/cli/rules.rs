//! Flags that decide.

use crate::store::Rules;

#[derive(Debug, clap::Args)]
pub struct RuleArgs {}

impl RuleArgs {
    /// Settled.
    ///
    /// # Errors
    /// None.
    pub fn settle(self) -> anyhow::Result<Rules> {
        Ok(Rules::default())
    }
}
