//! Norms where the form has them: in front of attention and the feed-forward part, behind them, and of heads.

use crate::error::GpuError;
use crate::gpu::{Buffer, Pass};
use crate::kernels::attention::head_norm::{self, HeadNorm};
use crate::kernels::padded;
use crate::kernels::products::gather::Inputs;
use crate::kernels::products::matvec;
use crate::kernels::rows::rms_norm::{self, RmsNorm};
use crate::network::form::{HeadNorms, LayerForm, Norm};
use crate::runtime::layer::Batch;
use crate::runtime::product::{Input, Target};
use crate::runtime::step::Network;
use crate::runtime::weights::{Bank, LayerWeights};

/// Place of attention in the pairs of norms of a layer.
pub(super) const ATTENTION: usize = 0;
/// Place of the feed-forward part.
pub(super) const FEED_FORWARD: usize = 1;

impl Network<'_> {
    /// Leaves the normalised rows where products read them.
    pub(super) fn norm(
        &self,
        pass: &mut Pass<'_>,
        input: &Buffer,
        norm: (Norm, &Bank),
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        self.run_norm(pass, (input, &self.state.rows.normed), rms_norm::WRITE, norm, batch)
    }

    fn run_norm(
        &self,
        pass: &mut Pass<'_>,
        (input, output): (&Buffer, &Inputs),
        mode: u32,
        (form, weight): (Norm, &Bank),
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        pass.run(&RmsNorm {
            input,
            weight: &weight.buffer,
            rows: &self.state.rows.info,
            list: batch.list,
            output,
            mode,
            n_rows: batch.n_rows,
            subgroups: self.recipe.by_subgroup(),
            params: rms_norm::Params {
                width: self.config.hidden_size,
                stride: self.state.sizes.hidden / 4,
                bank_stride: weight.stride / 4,
                epsilon: form.epsilon,
            },
        })
    }

    /// What attention or the feed-forward part reads: the residual stream, behind a norm where the layer has one there.
    pub(super) fn input_of<'b>(
        &'b self,
        pass: &mut Pass<'_>,
        form: &LayerForm,
        weights: &LayerWeights,
        part: usize,
        x: &'b Buffer,
        batch: Batch<'_>,
    ) -> Result<(&'b Buffer, Input<'b>), GpuError> {
        let (Some(norm), Some(banks)) = (form.before, &weights.before) else { return Ok((x, Input::Rows(x))) };
        self.norm(pass, x, (norm, &banks[part]), batch)?;
        let normed = &self.state.rows.normed;
        Ok((&normed.rows, Input::Made(normed)))
    }

    /// Where the last product of attention or of the feed-forward part goes: to the residual stream, or where a norm
    /// behind it finds it. What was in front of the part's products has been read by then.
    pub(super) fn target_of<'b>(&'b self, form: &LayerForm, x: &'b Buffer) -> Target<'b> {
        let (buffer, mode) = match form.after {
            None => (x, matvec::ADD),
            Some(_) => (&self.state.rows.normed.rows, matvec::WRITE),
        };
        Target { buffer, stride: self.state.sizes.hidden, mode }
    }

    /// Adds what [`Network::target_of`] put aside, normalised.
    pub(super) fn add_normed(
        &self,
        pass: &mut Pass<'_>,
        form: &LayerForm,
        weights: &LayerWeights,
        part: usize,
        x: &Buffer,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (Some(after), Some(banks)) = (form.after, &weights.after) else { return Ok(()) };
        let stream = Inputs { rows: x.clone(), gathered: None };
        self.run_norm(pass, (&self.state.rows.normed.rows, &stream), rms_norm::ADD, (after.norm, &banks[part]), batch)
    }

    /// Normalises each head of queries, and of keys where the rows have them, if the network does so.
    pub(super) fn head_norms(
        &self,
        pass: &mut Pass<'_>,
        form: &LayerForm,
        weights: &LayerWeights,
        key_heads: u32,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (HeadNorms::Each(form), Some(norms)) = (form.attention.head_norms, &weights.head_norms) else {
            return Ok(());
        };
        let rows = &self.state.rows;
        pass.run(&HeadNorm {
            weight: &norms.buffer,
            rows: &rows.info,
            list: batch.list,
            qkv: &rows.qkv,
            n_rows: batch.n_rows,
            key_heads,
            params: head_norm::Params {
                heads: self.config.n_heads,
                head_dim: self.config.head_dim,
                stride: self.state.sizes.qkv,
                weight_stride: padded(self.config.head_dim),
                bank_stride: norms.stride,
                epsilon: form.epsilon,
            },
        })
    }
}
