//! Ways to leave early, set from outside.

use super::Engine;
use crate::error::{Error, RequestError};
use crate::network::exit::{Exit, ExitChoice};

impl Engine {
    /// Lets tokens leave early by a mode, in place of the one before it; none ends it. Texts change: each mode is lossy. It holds from the
    /// next tick on, and nothing may be under way.
    ///
    /// # Errors
    /// A model whose layers are run again or that has a gate, a mode that is not built or lacks what was trained for it, sequences
    /// under way, guesses that are checked, or no room on the GPU. The mode before it stays.
    pub async fn set_exit(&mut self, choice: Option<&ExitChoice>) -> Result<(), Error> {
        if !self.is_idle() {
            return Err(RequestError::Busy.into());
        }
        let Some(choice) = choice else { return Ok(()) };
        let exit = Exit::of(&self.plan, choice)?;
        let range = "another mode: this one is not built yet".into();
        Err(RequestError::Setting { name: "exit", value: exit.mode.name().into(), range }.into())
    }
}
