//! A layer as a list of dispatches, the same for every kind of network.
//!
//! ```text
//! x += Wo . attention(rope(Wqkv . norm(x)))        x += Wdown . swiglu(Wgate_up . norm(x))
//! ```
//!
//! What stands where in it, and every number of it, is the layer's [form](crate::network::form::LayerForm).

use crate::error::GpuError;
use crate::gpu::{Buffer, Pass};
use crate::kernels::attention::attention_merge::{self, AttentionMerge};
use crate::kernels::attention::attention_stretch::{self, Attention, Held};
use crate::kernels::attention::attention_subgroup::AttentionSubgroup;
use crate::kernels::attention::rope::{self, Rope};
use crate::kernels::products::lora_down::{self, LoraDown};
use crate::kernels::products::lora_up::{self, LoraUp};
use crate::kernels::products::matrix::Matrix;
use crate::kernels::products::matvec;
use crate::kernels::rows::swiglu::{self, Swiglu};
use crate::network::form::{self, LayerForm};
use crate::network::names::Linear;
use crate::network::plan::{PlanLayer, Writes};
use crate::runtime::norms::{ATTENTION, FEED_FORWARD};
use crate::runtime::product::{Input, Target};
use crate::runtime::recipe::{Attending, Heads};
use crate::runtime::step::Network;
use crate::runtime::weights::LayerWeights;

/// The rows that run, and how far they can see.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// Most entries that a row can see.
    pub longest: u32,
    /// The round, for weights that differ by round and cannot be looked up by row.
    pub round: u32,
    /// First row of the region in which the listed rows lie.
    pub base: u32,
    /// Rows that `base` is the first of, whether listed or not.
    pub region: u32,
    /// Each row is of a lane of its own, which takes its next token.
    pub decoding: bool,
    /// Where the rows stand at different rounds: those at round 0, and the others.
    pub mixed: Option<(&'a Buffer, &'a Buffer)>,
}

impl Network<'_> {
    /// Adds the adapter of a linear, if the layer has one, behind the first `offset` numbers of the target.
    fn adapt(
        &self,
        pass: &mut Pass<'_>,
        weights: &LayerWeights,
        which: Linear,
        input: &Buffer,
        batch: Batch<'_>,
        target: (&Buffer, u32, u32),
    ) -> Result<(), GpuError> {
        let (Some(adapter), Some(lora)) = (weights.adapters.get(&which), self.config.lora) else { return Ok(()) };
        let rows = &self.state.rows;
        let (output, output_stride, output_offset) = target;
        let (list, n_rows, inner_stride) = (batch.list, batch.n_rows, self.state.sizes.rank);
        let stride = adapter.down.stride / adapter.rank / 4;
        let rank = adapter.rank;
        let params = lora_down::Params { stride, rank, bank_stride: adapter.down.stride / 4, inner_stride };
        let weight = &adapter.down.buffer;
        pass.run(&LoraDown { input, weight, rows: &rows.info, list, inner: &rows.inner, n_rows, params })?;
        let params = lora_up::Params {
            outputs: adapter.outputs,
            rank,
            bank_stride: adapter.up.stride,
            inner_stride,
            output_stride,
            output_offset,
            scale: lora.scale,
        };
        let weight = &adapter.up.buffer;
        pass.run(&LoraUp { inner: &rows.inner, weight, rows: &rows.info, list, output, n_rows, params })
    }

    /// One layer over the rows of a batch; `x` is the residual stream that it works on.
    pub(super) fn layer(
        &self,
        pass: &mut Pass<'_>,
        index: usize,
        x: &Buffer,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (layer, weights) = (&self.plan.layers[index], &self.weights.layers[index]);
        self.attend(pass, layer, weights, x, batch)?;
        self.feed_forward(pass, self.plan.form_of(layer), weights, x, batch)
    }

    fn attend(
        &self,
        pass: &mut Pass<'_>,
        layer: &PlanLayer,
        weights: &LayerWeights,
        x: &Buffer,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (config, rows, sizes, form) = (self.config, &self.state.rows, &self.state.sizes, self.plan.form_of(layer));
        self.keys_and_queries(pass, layer, weights, x, batch)?;
        let attended = self.run_attention(pass, layer, batch)?;
        let target = self.target_of(form, x);
        self.product(pass, by_round(&weights.output, batch.round), config.hidden_size, attended, batch, target)?;
        self.adapt(pass, weights, Linear::Output, &rows.attended.rows, batch, (target.buffer, sizes.hidden, 0))?;
        self.add_normed(pass, form, weights, ATTENTION, x, batch)
    }

    /// Files the keys and values that a layer makes of the listed rows, which do not run it.
    pub(super) fn keys_alone(
        &self,
        pass: &mut Pass<'_>,
        index: usize,
        x: &Buffer,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let layer = &self.plan.layers[index];
        match layer.cache.writes {
            Writes::Never => Ok(()),
            Writes::Always | Writes::FirstRound => {
                self.keys_and_queries(pass, layer, &self.weights.layers[index], x, batch)
            }
        }
    }

    /// Everything in front of attention: queries, and keys and values where they are filed.
    fn keys_and_queries(
        &self,
        pass: &mut Pass<'_>,
        layer: &PlanLayer,
        weights: &LayerWeights,
        x: &Buffer,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (config, rows, sizes) = (self.config, &self.state.rows, &self.state.sizes);
        let writes = match layer.cache.writes {
            Writes::Always => rope::WRITE,
            Writes::FirstRound if batch.mixed.is_some() => rope::WRITE_AT_ROUND_0,
            Writes::FirstRound if batch.round == 0 => rope::WRITE,
            Writes::FirstRound | Writes::Never => rope::QUERIES,
        };
        let queries = config.n_heads * config.head_dim;
        let keys = config.n_kv_heads * config.head_dim;
        let form = self.plan.form_of(layer);
        let (normed, gathered) = self.input_of(pass, form, weights, ATTENTION, x, batch)?;
        let qkv = by_round(&weights.qkv, batch.round);
        let target = Target { buffer: &rows.qkv, stride: sizes.qkv, mode: matvec::WRITE };
        let adapted = [(Linear::Query, 0), (Linear::Key, queries), (Linear::Value, queries + keys)];
        // Keys and values that only round 0 makes are computed for its rows alone.
        let (parts, input) = match batch.mixed {
            Some((first, others)) if writes == rope::WRITE_AT_ROUND_0 => {
                (vec![(first, true), (others, false)], Input::Rows(normed))
            }
            _ => (vec![(batch.list, writes != rope::QUERIES)], gathered),
        };
        for (list, with_keys) in parts {
            let batch = Batch { list, ..batch };
            self.product(pass, qkv, if with_keys { qkv.rows() } else { queries }, input, batch, target)?;
            for (which, offset) in &adapted[..if with_keys { 3 } else { 1 }] {
                self.adapt(pass, weights, *which, normed, batch, (&rows.qkv, sizes.qkv, *offset))?;
            }
            self.head_norms(pass, form, weights, if with_keys { config.n_kv_heads } else { 0 }, batch)?;
        }
        self.rotate(pass, layer, writes, batch)
    }

    /// Rotates queries and keys, and files keys and values.
    fn rotate(&self, pass: &mut Pass<'_>, layer: &PlanLayer, writes: u32, batch: Batch<'_>) -> Result<(), GpuError> {
        let (config, state, sizes) = (self.config, self.state, &self.state.sizes);
        let (rows, cache) = (&state.rows, &layer.cache);
        let kept = &state.caches[cache.buffer];
        // Queries are rotated with the first binding.
        let bindings = if writes == rope::QUERIES { 1 } else { kept.bindings.len() };
        for (first_kv_head, binding) in kept.parts().take(bindings) {
            pass.run(&Rope {
                pages: &state.lanes.pages,
                rotation: &state.rotations[self.plan.form.table_of(self.plan.form_of(layer))],
                rows: &rows.info,
                list: batch.list,
                qkv: &rows.qkv,
                cache: binding,
                n_rows: batch.n_rows,
                share: self.recipe.share((config.n_heads + config.n_kv_heads) * config.head_dim / 2),
                params: rope::Params {
                    heads: config.n_heads,
                    kv_heads: config.n_kv_heads,
                    head_dim: config.head_dim,
                    stride: sizes.qkv,
                    write_keys: writes,
                    class_base: cache.class_base,
                    class_step: cache.class_step,
                    compact: cache.compact.into(),
                    classes: self.plan.classes,
                    max_pages: sizes.max_pages,
                    first_kv_head,
                    cache_heads: kept.heads,
                },
            })?;
        }
        Ok(())
    }

    /// Returns its output for the product behind it.
    fn run_attention(&self, pass: &mut Pass<'_>, layer: &PlanLayer, batch: Batch<'_>) -> Result<Input<'_>, GpuError> {
        let (config, state, sizes) = (self.config, self.state, &self.state.sizes);
        let (rows, list, n_rows) = (&state.rows, batch.list, batch.n_rows);
        let (partial, output) = (&rows.partial, &rows.attended);
        let by = self.recipe.attention(Heads {
            head_dim: config.head_dim,
            tile: sizes.tile,
            n_rows,
            longest: batch.longest,
            decoding: batch.decoding,
        });
        let kept = &state.caches[layer.cache.buffer];
        for (first_kv_head, binding) in kept.parts() {
            let attention = Attention {
                pages: &state.lanes.pages,
                qkv: &rows.qkv,
                rows: &rows.info,
                list,
                cache: binding,
                reach: &state.lanes.reach,
                partial,
                n_rows,
                longest: batch.longest,
                tile: if let Attending::Tiles(tile) = by { tile } else { sizes.tile },
                held: if layer.cache.holes { Held::Reached } else { Held::All },
                params: attention_stretch::Params {
                    reached: batch.round + 1,
                    ..self.attention_params(layer, first_kv_head, kept.heads)
                },
            };
            match by {
                Attending::Subgroup { joined } => {
                    pass.run(&AttentionSubgroup { attention, whole: joined.then_some(output) })?;
                }
                Attending::Tiles(_) => pass.run(&attention)?,
            }
        }
        if by == (Attending::Subgroup { joined: true }) {
            return Ok(Input::Made(output));
        }
        let params = attention_merge::Params {
            heads: config.n_heads,
            head_dim: config.head_dim,
            stride: sizes.attended,
            compact: layer.cache.compact.into(),
            max_stretches: sizes.max_stretches,
            window: self.plan.form_of(layer).attention.window(),
        };
        pass.run(&AttentionMerge { partial, rows: &rows.info, list, output, n_rows, params })?;
        Ok(if attention_merge::gathers(config.head_dim) { Input::Made(output) } else { Input::Rows(&output.rows) })
    }

    /// Attention to the KV heads of one binding.
    fn attention_params(&self, layer: &PlanLayer, first_kv_head: u32, cache_heads: u32) -> attention_stretch::Params {
        let (config, sizes, cache) = (self.config, &self.state.sizes, &layer.cache);
        let attention = &self.plan.form_of(layer).attention;
        attention_stretch::Params {
            heads: config.n_heads,
            kv_heads: config.n_kv_heads,
            head_dim: config.head_dim,
            stride: sizes.qkv,
            class_base: cache.class_base,
            class_step: cache.class_step,
            compact: cache.compact.into(),
            overlay: cache.overlay.into(),
            classes: self.plan.classes,
            max_pages: sizes.max_pages,
            max_stretches: sizes.max_stretches,
            context: sizes.room.context,
            window: attention.window(),
            scale: attention.scores.scale,
            output_stride: sizes.attended / 4,
            reached: 0,
            first_head: first_kv_head * (config.n_heads / config.n_kv_heads),
            cache_heads,
        }
    }

    fn feed_forward(
        &self,
        pass: &mut Pass<'_>,
        form: &LayerForm,
        weights: &LayerWeights,
        x: &Buffer,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (rows, sizes, width) = (&self.state.rows, &self.state.sizes, self.config.intermediate_size);
        let (normed, gathered) = self.input_of(pass, form, weights, FEED_FORWARD, x, batch)?;
        let activation = activation(form.feed_forward.activation);
        if !self.gated_product(pass, weights, activation, gathered, batch)? {
            let target = Target { buffer: &rows.glu, stride: 2 * width, mode: matvec::WRITE };
            self.product(pass, &weights.glu, 2 * width, gathered, batch, target)?;
            self.adapt(pass, weights, Linear::Gate, normed, batch, (&rows.glu, 2 * width, 0))?;
            self.adapt(pass, weights, Linear::Up, normed, batch, (&rows.glu, 2 * width, width))?;
            pass.run(&Swiglu {
                input: &rows.glu,
                list: batch.list,
                output: &rows.activation,
                activation,
                n_rows: batch.n_rows,
                params: swiglu::Params { width, input_stride: 2 * width, output_stride: sizes.activation / 4 },
            })?;
        }
        let target = self.target_of(form, x);
        self.product(pass, &weights.down, self.config.hidden_size, Input::Made(&rows.activation), batch, target)?;
        self.adapt(pass, weights, Linear::Down, &rows.activation.rows, batch, (target.buffer, sizes.hidden, 0))?;
        self.add_normed(pass, form, weights, FEED_FORWARD, x, batch)
    }
}

/// The kernels' word for an activation.
pub(crate) fn activation(activation: form::Activation) -> swiglu::Activation {
    match activation {
        form::Activation::Silu => swiglu::Activation::Silu,
        form::Activation::GeluTanh => swiglu::Activation::GeluTanh,
        form::Activation::Gelu => swiglu::Activation::Gelu,
        form::Activation::Relu => swiglu::Activation::Relu,
        form::Activation::ReluSquared => swiglu::Activation::ReluSquared,
    }
}

/// The round's own matrix where there is one per round.
fn by_round(matrices: &[Matrix], round: u32) -> &Matrix {
    &matrices[(round as usize).min(matrices.len() - 1)]
}
