//! From a state behind some layers to logits.

use crate::error::GpuError;
use crate::gpu::{Buffer, Pass};
use crate::kernels::products::matrix::Matrix;
use crate::kernels::products::matvec;
use crate::runtime::layer::Batch;
use crate::runtime::product::{Input, Target};
use crate::runtime::step::Network;
use crate::runtime::weights::Bank;

/// From a state to what the head reads.
#[derive(Debug, Clone)]
pub enum Readout {
    /// The network's final norm.
    FinalNorm,
    /// Nothing: the state is final.
    Final,
    /// A norm, and a matrix to the final state.
    Linear {
        /// `[padded(hidden)]`
        norm: Bank,
        /// `[hidden, hidden]`
        weight: Matrix,
        /// `[rows, padded(hidden)]`
        made: Buffer,
    },
    /// A norm and a head of its own.
    Head {
        /// `[padded(hidden)]`
        norm: Bank,
        /// `[head_rows, hidden]`
        weight: Matrix,
    },
}

impl<'a> Network<'a> {
    /// Logits of the listed rows for the first so many tokens, of states that are read out.
    pub(in crate::runtime) fn read_out(
        &self,
        pass: &mut Pass<'_>,
        readout: &'a Readout,
        state: &'a Buffer,
        stride: u32,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (rows, read, head) = (&self.state.rows, self.config.hidden_size, &self.weights.head);
        let logits = Target { buffer: &rows.logits, stride, mode: matvec::COMPACT };
        match readout {
            Readout::FinalNorm => {
                self.norm(pass, state, (self.plan.form.final_norm, &self.weights.final_norm), batch)?;
                self.product(pass, head, stride, Input::Made(&rows.normed), batch, logits)
            }
            Readout::Final => self.product(pass, head, stride, Input::Rows(state), batch, logits),
            Readout::Linear { norm, weight, made } => {
                self.norm(pass, state, (self.plan.form.final_norm, norm), batch)?;
                let target = Target { buffer: made, stride: self.state.sizes.hidden, mode: matvec::WRITE };
                self.product(pass, weight, read, Input::Made(&rows.normed), batch, target)?;
                self.product(pass, head, stride, Input::Rows(made), batch, logits)
            }
            Readout::Head { norm, weight } => {
                self.norm(pass, state, (self.plan.form.final_norm, norm), batch)?;
                self.product(pass, weight, stride, Input::Made(&rows.normed), batch, logits)
            }
        }
    }
}
