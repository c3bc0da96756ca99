//! Ways to leave early, set from outside.

use super::Engine;
use super::deferring::Deferring;
use crate::error::{Error, RequestError};
use crate::network::exit::{Exit, ExitChoice, ExitHead, Learnt};
use crate::network::plan::MissingKeys;
use crate::runtime::leave::{Leave, OwnHead};
use crate::runtime::upload::exact_matrix_of;
use crate::runtime::weights::Bank;

impl Engine {
    /// How tokens leave early; `None` where they do not.
    pub fn exit_mode(&self) -> Option<&Exit> {
        self.state.leave.as_ref().map(|leave| &leave.exit)
    }

    /// Lets tokens leave early by a mode, in place of the one before it; none ends it. Texts change: each mode is lossy. It holds
    /// for sequences that are submitted behind it; prompts run all layers.
    ///
    /// # Errors
    /// A model whose layers are run again or that has a gate, a mode that is not built or lacks what was trained for it, sequences
    /// under way, guesses that are checked, or no room on the GPU. The mode before it stays.
    pub async fn set_exit(&mut self, choice: Option<&ExitChoice>) -> Result<(), Error> {
        if !self.is_idle() {
            return Err(RequestError::Busy.into());
        }
        if let Some(how) = choice.map(|choice| Deferring::of(choice, self.plan.n_rounds())).transpose()?.flatten() {
            return self.set_deferring(Some(&how)).await;
        }
        let leave = choice.map(|choice| self.leave_by(choice)).transpose()?;
        self.gpu.check().await?;
        if self.deferring().is_some() {
            self.set_deferring(None).await?;
        }
        // Bind groups of the mode before would keep what it measured with.
        self.gpu.forget_bind_groups();
        self.scheduler.policy_changed();
        self.plan.leave_out(leave.as_ref().map_or(MissingKeys::Nothing, |leave| leave.exit.missing));
        self.state.leave = leave;
        Ok(())
    }

    /// No token leaves within a pass any more; nothing may be under way.
    pub(super) fn stay(&mut self) {
        if self.state.leave.take().is_some() {
            self.gpu.forget_bind_groups();
            self.scheduler.policy_changed();
            self.plan.leave_out(MissingKeys::Nothing);
        }
    }

    fn leave_by(&self, choice: &ExitChoice) -> Result<Leave, Error> {
        let refuse = |range: &str| {
            Error::from(RequestError::Setting { name: "exit", value: choice.mode.name().into(), range: range.into() })
        };
        let exit = Exit::of(&self.plan, choice)?;
        if !self.state.drafters.is_empty() {
            return Err(refuse("chosen while nobody guesses: what is checked is the whole model"));
        }
        if self.depths.is_some() {
            return Err(refuse("chosen where no other depths are asked for"));
        }
        let (settled, heads) = match &choice.learnt {
            Learnt::Nothing => (None, &[][..]),
            Learnt::Meta { weight, bias } => {
                self.fits(choice, "the head over the state", weight, 1)?;
                self.fits(choice, "its bias", &[*bias], 0)?;
                (Some((self.padded_vector(weight)?, *bias)), &[][..])
            }
            Learnt::Heads(heads) => (None, &heads[..]),
        };
        for probe in exit.probes.iter().filter(|_| !heads.is_empty()) {
            if !heads.iter().any(|head| head.depth == probe.depth) {
                return Err(refuse("asked behind layers that have a head"));
            }
        }
        let heads = heads.iter().map(|head| self.own_head(choice, head)).collect::<Result<Vec<_>, _>>()?;
        let sizes = (&self.state.sizes, self.config.vocab_size);
        Ok(Leave::new(&self.gpu, sizes, exit, settled, heads)?)
    }

    fn own_head(&self, choice: &ExitChoice, head: &ExitHead) -> Result<OwnHead, Error> {
        self.fits(choice, "the norm of a head", &head.norm, 1)?;
        self.fits(choice, "a head", &head.weight, self.config.vocab_size as usize)?;
        let norm = Bank { buffer: self.padded_vector(&head.norm)?, stride: 0 };
        let columns = self.config.hidden_size as usize;
        let weight = exact_matrix_of(&self.gpu, "head of an exit", &head.weight, columns)?;
        Ok(OwnHead { depth: head.depth, norm, weight })
    }

    /// Refuses numbers that are not finite, or not so many rows of the stream; no rows: one number.
    fn fits(&self, choice: &ExitChoice, what: &str, numbers: &[f32], rows: usize) -> Result<(), RequestError> {
        let wanted = (rows * self.config.hidden_size as usize).max(1);
        let fault = match numbers.iter().all(|number| number.is_finite()) {
            false => "finite numbers alone".to_owned(),
            true if numbers.len() != wanted => format!("{wanted} numbers for this model, not {}", numbers.len()),
            true => return Ok(()),
        };
        let range = format!("given {what} of {fault}");
        Err(RequestError::Setting { name: "exit", value: choice.mode.name().into(), range })
    }

    /// A vector as wide as the stream, padded with zeros.
    pub(super) fn padded_vector(&self, numbers: &[f32]) -> Result<crate::gpu::Buffer, Error> {
        let mut padded = numbers.to_vec();
        padded.resize(self.state.sizes.hidden as usize, 0.0);
        Ok(self.gpu.upload("weight of an exit", &padded)?)
    }
}
