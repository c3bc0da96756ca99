//! One step of the network over some rows: enter, rounds with their gates, leave.
//!
//! A step is recorded, not computed: the host decides nothing on the way, and rows that stop early are left out of
//! later rounds by lists that the GPU makes itself.
//!
//! **Invariant:** a row's numbers depend on its own sequence alone, not on what else is in the step (except under
//! [`Depth::Together`], which reproduces a rule that is not causal).

use crate::error::GpuError;
use crate::gpu::readback::Pending;
use crate::gpu::{Buffer, Gpu, Pass};
use crate::kernels::Row;
use crate::kernels::draw::alternatives::{self, Alternatives};
use crate::kernels::draw::cross_entropy::{self, CrossEntropy};
use crate::kernels::draw::sample::{self, Sample};
use crate::kernels::products::matvec;
use crate::kernels::rows::embed::{self, Embed};
use crate::network::config::ModelConfig;
use crate::network::plan::Plan;
use crate::runtime::layer::Batch;
use crate::runtime::product::{self, Target};
use crate::runtime::recipe::Recipe;
use crate::runtime::state::{Room, Sizes, State};
use crate::runtime::weights::Weights;

/// Who decides how deep the rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The gate that is set; every round where there is none.
    Model,
    /// Every row runs this many rounds.
    Fixed(u32),
    /// The gate over all rows of a text at once, see [`crate::engine::request::Routing::TopK`].
    Together,
}

/// A token to be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Its lane.
    pub lane: u32,
    /// Its position; the lane's earlier positions are in the cache or stand before it in the step.
    pub position: u32,
    /// The token, or [`crate::kernels::NEXT_TOKEN`].
    pub token: u32,
    /// It may leave early where an exit mode is set: tokens that were written, and not those of a prompt.
    pub written: bool,
}

/// What to compute. Rows of a lane stand side by side, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Rows.
    pub inputs: &'a [Input],
    /// Indices of the rows whose logits are wanted.
    pub heads: &'a [u32],
    /// Depth.
    pub depth: Depth,
    /// Tokens are drawn from the logits.
    pub sample: bool,
}

/// A look inside: named copies of a buffer's first bytes, taken while the step runs.
#[derive(Debug, Default)]
pub struct Probe {
    /// Name, copy of the rows, copy of the list of those that ran.
    pub copies: Vec<(String, Buffer, Option<Buffer>)>,
}

/// Everything a step needs.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    /// Device.
    pub gpu: &'a Gpu,
    /// Network.
    pub config: &'a ModelConfig,
    /// Its plan.
    pub plan: &'a Plan,
    /// Its weights.
    pub weights: &'a Weights,
    /// Room.
    pub state: &'a State,
    /// Which kernels run: the state's, or another whose kernels are to be tested here.
    pub recipe: &'a Recipe,
}

impl Step<'_> {
    /// Rows of the first lane, which compete where a gate is asked over all rows of a text.
    fn first_lane_rows(&self) -> usize {
        self.inputs.iter().filter(|input| input.lane == self.inputs[0].lane).count()
    }
}

impl<'a> Network<'a> {
    /// Records and submits one step.
    ///
    /// # Errors
    /// [`GpuError::Pipeline`] where the device refuses a kernel.
    ///
    /// # Panics
    /// Where the step does not fit the room that was made: the caller checks.
    pub fn step(&self, step: &Step<'_>, probe: Option<&mut Probe>) -> Result<(), GpuError> {
        let mut pass = self.gpu.pass();
        self.record(&mut pass, step, probe)?;
        pass.submit();
        Ok(())
    }

    /// Records one step behind what the pass already holds; its inputs are written at once, so a pass has room for one.
    ///
    /// # Errors
    /// As [`Network::step`].
    ///
    /// # Panics
    /// As [`Network::step`].
    pub fn record(&self, pass: &mut Pass<'_>, step: &Step<'_>, mut probe: Option<&mut Probe>) -> Result<(), GpuError> {
        let n_rows = step.inputs.len() as u32;
        assert!(n_rows > 0 && n_rows <= self.state.sizes.room.rows, "{n_rows} rows");
        assert!(step.heads.len() as u32 <= self.state.sizes.room.heads, "{} heads", step.heads.len());
        self.write_inputs(step);
        let longest = step.inputs.iter().map(|input| input.position + 1).max().unwrap_or(0);
        let rows = &self.state.rows;
        let all =
            Batch { list: &rows.all, n_rows, longest, round: 0, base: 0, region: n_rows, decoding: false, mixed: None };
        self.embed(pass, all)?;
        self.look(pass, &mut probe, "embed", &rows.hidden, None)?;
        for layer in self.plan.prologue.clone() {
            self.layer(pass, layer, &rows.hidden, all)?;
            self.look_at_layer(pass, &mut probe, layer, 0, &rows.hidden, &rows.all)?;
        }
        let depth = self.before_rounds(pass, step, all)?;
        self.rounds(pass, (depth, step.first_lane_rows()), 0..self.plan.n_rounds(), false, all, &mut probe)?;
        for layer in self.plan.epilogue.clone() {
            self.layer(pass, layer, &rows.hidden, all)?;
            self.look_at_layer(pass, &mut probe, layer, 0, &rows.hidden, &rows.all)?;
        }
        if !step.heads.is_empty() {
            self.draw(pass, (&rows.heads, step.heads.len() as u32), step.sample, &mut probe)?;
        }
        Ok(())
    }

    fn write_inputs(&self, step: &Step<'_>) {
        let (rows, gpu) = (&self.state.rows, self.gpu);
        let info =
            |input: &Input| Row { lane: input.lane, position: input.position, round: 0, kv_index: input.position };
        gpu.write(&rows.info, 0, &step.inputs.iter().map(info).collect::<Vec<_>>());
        gpu.write(&rows.tokens, 0, &step.inputs.iter().map(|input| input.token).collect::<Vec<_>>());
        let mut first = Vec::with_capacity(step.inputs.len());
        for (row, input) in step.inputs.iter().enumerate() {
            let same = row > 0 && step.inputs[row - 1].lane == input.lane;
            first.push(if same { first[row - 1] } else { row as u32 });
        }
        gpu.write(&rows.first, 0, &first);
        // A gate grants rounds one by one or at once; without one they are granted here.
        let rounds = match (step.depth, self.gate(step.depth)) {
            (_, Some(_)) => 0,
            (Depth::Fixed(rounds), None) => rounds,
            (_, None) => self.plan.n_rounds(),
        };
        let granted = |input: &Input| self.granted_of(step.depth, rounds, input.written);
        gpu.write(&rows.granted, 0, &step.inputs.iter().map(granted).collect::<Vec<_>>());
        let n_rows = step.inputs.len() as u32;
        gpu.write(&rows.all, 0, &std::iter::once(n_rows).chain(0..n_rows).collect::<Vec<_>>());
        let heads = std::iter::once(step.heads.len() as u32).chain(step.heads.iter().copied());
        gpu.write(&rows.heads, 0, &heads.collect::<Vec<_>>());
    }

    pub(super) fn embed(&self, pass: &mut Pass<'_>, batch: Batch<'_>) -> Result<(), GpuError> {
        let (rows, lanes, sizes) = (&self.state.rows, &self.state.lanes, &self.state.sizes);
        for part in &self.weights.embedding.parts {
            pass.run(&Embed {
                part,
                tokens: &rows.tokens,
                rows: &rows.info,
                list: batch.list,
                hidden: &rows.hidden,
                seen: &lanes.seen,
                history: &lanes.history,
                n_rows: batch.n_rows,
                params: embed::Params {
                    blocks: sizes.hidden / 32,
                    weight_stride: part.stride,
                    first: part.first,
                    rows: part.rows,
                    stride: sizes.hidden / 4,
                    seen_stride: sizes.seen,
                    scale: self.plan.form.embedding.scale,
                    context: sizes.room.context,
                    base: sizes.room.rows,
                    span: self.state.guessing_span(),
                },
            })?;
        }
        Ok(())
    }

    /// Judges rows of the step that was submitted last: `targets` and `judged` are of [`cross_entropy`]'s shapes.
    ///
    /// # Errors
    /// As [`Network::step`].
    pub fn judge(&self, heads: &[u32], targets: &Buffer, judged: &Buffer) -> Result<Pending, GpuError> {
        let (rows, n_rows) = (&self.state.rows, heads.len() as u32);
        self.gpu.write(&rows.heads, 0, &std::iter::once(n_rows).chain(heads.iter().copied()).collect::<Vec<_>>());
        let mut pass = self.gpu.pass();
        self.draw(&mut pass, (&rows.heads, n_rows), false, &mut None)?;
        let vocabulary = self.config.vocab_size;
        let params = cross_entropy::Params { vocabulary, stride: vocabulary };
        pass.run(&CrossEntropy { targets, logits: &rows.logits, judged, n_rows, params })?;
        Ok(pass.submit_and_read(&[(judged, 0..u64::from(n_rows) * 4)]))
    }

    /// Final norm and head of the listed rows; logits are `[places, vocabulary]`.
    pub(super) fn head(&self, pass: &mut Pass<'_>, logits: &Buffer, batch: Batch<'_>) -> Result<(), GpuError> {
        let rows = &self.state.rows;
        self.norm(pass, &rows.hidden, (self.plan.form.final_norm, &self.weights.final_norm), batch)?;
        let vocabulary = self.config.vocab_size;
        let target = Target { buffer: logits, stride: vocabulary, mode: matvec::COMPACT };
        self.product(pass, &self.weights.head, vocabulary, product::Input::Made(&rows.normed), batch, target)
    }

    /// Final norm, head, and draw of the listed rows.
    pub(super) fn draw(
        &self,
        pass: &mut Pass<'_>,
        (list, n_rows): (&Buffer, u32),
        sample: bool,
        probe: &mut Option<&mut Probe>,
    ) -> Result<(), GpuError> {
        let rows = &self.state.rows;
        let batch = Batch { list, n_rows, longest: 0, round: 0, base: 0, region: n_rows, decoding: false, mixed: None };
        self.head(pass, &rows.logits, batch)?;
        self.own_heads(pass, batch)?;
        self.look(pass, probe, "final_norm", &rows.normed.rows, Some(list))?;
        let vocabulary = self.config.vocab_size;
        if sample {
            self.sample(pass, (list, n_rows), vocabulary)?;
            self.alternatives(pass, (list, n_rows))?;
        }
        Ok(())
    }

    /// The most probable tokens beside those that were drawn for the listed rows, where any are told.
    pub(super) fn alternatives(&self, pass: &mut Pass<'_>, (list, n_rows): (&Buffer, u32)) -> Result<(), GpuError> {
        let (rows, vocabulary) = (&self.state.rows, self.config.vocab_size);
        let alternatives = self.state.sizes.room.alternatives;
        if alternatives == 0 {
            return Ok(());
        }
        let params = alternatives::Params { vocabulary, stride: vocabulary };
        let (logits, drawn) = (&rows.logits, &rows.drawn);
        pass.run(&Alternatives { list, logits, drawn, alternatives, n_rows, params })
    }

    /// Draws a token for each of the listed rows, of logits of the first so many tokens.
    pub(super) fn sample(
        &self,
        pass: &mut Pass<'_>,
        (list, n_rows): (&Buffer, u32),
        vocabulary: u32,
    ) -> Result<(), GpuError> {
        let (rows, lanes) = (&self.state.rows, &self.state.lanes);
        let Sizes { seen: seen_stride, room: Room { context, rows: base, alternatives, .. }, .. } = self.state.sizes;
        let span = self.state.guessing_span();
        pass.run(&Sample {
            settings: &lanes.settings,
            rows: &rows.info,
            list,
            seen: &lanes.seen,
            logits: &rows.logits,
            history: &lanes.history,
            drawn: &rows.drawn,
            tokens: &rows.tokens,
            alternatives,
            n_rows,
            subgroups: self.recipe.draws_by_subgroup(vocabulary),
            params: sample::Params { vocabulary, stride: vocabulary, seen_stride, context, base, span },
        })
    }

    pub(super) fn look_at_layer(
        &self,
        pass: &mut Pass<'_>,
        probe: &mut Option<&mut Probe>,
        layer: usize,
        round: u32,
        x: &Buffer,
        list: &Buffer,
    ) -> Result<(), GpuError> {
        if probe.is_none() {
            return Ok(());
        }
        let unrolled = &self.plan.layers[layer].unrolled;
        let name = format!("layer{}", unrolled[(round as usize).min(unrolled.len() - 1)]);
        self.look(pass, probe, &name, x, Some(list))
    }

    pub(super) fn look(
        &self,
        pass: &mut Pass<'_>,
        probe: &mut Option<&mut Probe>,
        name: &str,
        buffer: &Buffer,
        list: Option<&Buffer>,
    ) -> Result<(), GpuError> {
        let Some(probe) = probe else { return Ok(()) };
        let mut copy = |from: &Buffer| -> Result<Buffer, GpuError> {
            let to = self.gpu.buffer("probe", from.bytes())?;
            pass.copy((from, 0), (&to, 0), from.bytes());
            Ok(to)
        };
        let rows = copy(buffer)?;
        let list = list.map(&mut copy).transpose()?;
        probe.copies.push((name.to_owned(), rows, list));
        Ok(())
    }
}
