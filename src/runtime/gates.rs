//! Asking a gate: what is measured of the listed rows, and what they are granted.
//!
//! **Invariant:** what weighs and what decides are asked apart, and in one dispatch where one scorer does both.

use crate::error::GpuError;
use crate::gpu::{Buffer, Gpu, Pass, Source};
use crate::kernels::exits::cosine::{self, Cosine};
use crate::kernels::exits::scorer::{self, Scorer as Score};
use crate::kernels::exits::select_top_k::{self, SelectTopK};
use crate::kernels::exits::slice::{self, Slice};
use crate::kernels::exits::top_two_gap::{self, TopTwoGap};
use crate::kernels::products::matvec;
use crate::network::gate::{Change, Gate, HeadStatistic, Measure, Moment, Over, ScoreFunction, Scorer, ScorerLayers};
use crate::network::plan::Residual;
use crate::runtime::layer::Batch;
use crate::runtime::product::{Input, Target};
use crate::runtime::state::Sizes;
use crate::runtime::step::{Depth, Network};
use crate::runtime::weights::ScorerWeights;

/// The gate that runs, and what it asks for.
#[derive(Debug, Clone)]
pub struct RunningGate {
    /// The gate; `None` where every token runs all rounds.
    pub gate: Option<Gate>,
    /// `[rounds]`, added to what decides: minus the threshold, or the bias of a gate that is asked once.
    pub bias: Buffer,
    /// Thresholds of the rounds, where it has any.
    pub thresholds: Vec<f32>,
    /// Text of the rule that decides on a further round.
    pub rule: &'static str,
    /// What it keeps of the rows from round to round.
    pub state: GateState,
}

/// What a gate keeps of the rows, or needs room for.
#[derive(Debug, Clone, Default)]
pub struct GateState {
    /// The stream at the measure before, `[rows of a step + lanes, padded(hidden)]`.
    pub previous: Option<Buffer>,
    /// For statistics of the head.
    pub head: Option<HeadRoom>,
}

/// Room for the logits of some rows at once.
#[derive(Debug, Clone)]
pub struct HeadRoom {
    /// `[rows, vocabulary]`
    pub logits: Buffer,
    /// Rows.
    pub rows: u32,
    /// `[count, rows...]` of those.
    pub piece: Buffer,
}

/// Bytes of logits that a gate computes at once.
const LOGITS: u64 = 32 << 20;

impl GateState {
    /// Room for what a gate measures.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], naming what did not fit.
    pub(crate) fn of(gpu: &Gpu, measure: Measure, sizes: &Sizes, vocabulary: u32) -> Result<Self, GpuError> {
        let rows = sizes.room.rows + sizes.room.lane_rows();
        match measure {
            Measure::Scorer(_) | Measure::Accumulated(_) => Ok(Self::default()),
            Measure::Change(_) => {
                let bytes = u64::from(rows) * u64::from(sizes.hidden) * 4;
                Ok(Self { previous: Some(gpu.buffer("stream before the round", bytes)?), head: None })
            }
            Measure::Head(_) => {
                let row = u64::from(vocabulary) * 4;
                let rows = (LOGITS.min(gpu.max_binding_bytes()) / row).clamp(1, u64::from(rows)) as u32;
                let logits = gpu.buffer("logits of a gate", u64::from(rows) * row)?;
                let piece = gpu.buffer("rows with a gate's logits", (u64::from(rows) + 1) * 4)?;
                Ok(Self { previous: None, head: Some(HeadRoom { logits, rows, piece }) })
            }
        }
    }

    /// Bytes on the GPU.
    pub(super) fn bytes(&self) -> u64 {
        let Self { previous, head } = self;
        let head = head.iter().map(|HeadRoom { logits, rows: _, piece }| logits.bytes() + piece.bytes());
        previous.iter().map(Buffer::bytes).chain(head).sum()
    }
}

/// Name and text of the kernel that decides by a measure, with a rule of one's own.
pub(crate) fn deciding(measure: Measure, rule: &'static str) -> (&'static str, Source) {
    match measure {
        Measure::Change(_) => ("cosine", cosine::source(rule)),
        Measure::Head(_) => ("top_two_gap", top_two_gap::source(rule)),
        Measure::Scorer(_) | Measure::Accumulated(_) => ("scorer", scorer::source(rule)),
    }
}

/// What is asked beside the rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// Who decides.
    pub depth: Depth,
    /// Rows of a text, where these compete.
    pub competitors: usize,
    /// The rows stand before their first round.
    pub first: bool,
}

/// What a scorer's word is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Roles {
    reported: bool,
    weighs: bool,
    decides: bool,
}

impl<'a> Network<'a> {
    /// The gate that decides; `None` where rows run what they were granted before.
    pub(super) fn gate(&self, depth: Depth) -> Option<&'a Gate> {
        let together = self.plan.together.as_ref().filter(|_| depth == Depth::Together);
        together.or(self.weights.gate.gate.as_ref())
    }

    /// Scores the listed rows and decides on their next round.
    pub(super) fn ask(
        &self,
        pass: &mut Pass<'_>,
        gate: &Gate,
        question: Question,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        for (index, scorer) in self.plan.scorers.iter().enumerate() {
            let roles = Roles {
                reported: gate.reported() == Some(index),
                weighs: matches!(self.plan.residual, Residual::Add { weight, .. } if weight == Some(index)),
                decides: gate.decider() == Some(index),
            };
            if roles.reported || roles.weighs || roles.decides {
                self.score(pass, (gate, scorer, &self.weights.scorers[index]), roles, question, batch)?;
            }
        }
        if let (Some(keep), Over::Text { lowest, .. }) =
            (gate.over.keeps(batch.round, question.competitors), &gate.over)
        {
            let rows = &self.state.rows;
            let sign = if *lowest { -1.0 } else { 1.0 };
            pass.run(&SelectTopK {
                scores: &rows.scores,
                rows: &rows.info,
                list: batch.list,
                granted: &rows.granted,
                n_rows: batch.n_rows,
                params: select_top_k::Params { rounds: self.plan.n_rounds(), round: batch.round, keep, sign },
            })?;
        }
        self.measure(pass, gate.measure, question, batch)
    }

    /// Measures what is no scorer's, and decides by it. What no kernel measures is no plan's: [`Plan::check`].
    ///
    /// [`Plan::check`]: crate::network::plan::Plan::check
    fn measure(
        &self,
        pass: &mut Pass<'_>,
        measure: Measure,
        question: Question,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (running, rows, rounds) = (&self.weights.gate, &self.state.rows, self.plan.n_rounds());
        let forced = forced(question.depth);
        match (measure, &running.state) {
            (Measure::Change(Change::Cosine), GateState { previous: Some(previous), .. }) => pass.run(&Cosine {
                stream: &rows.hidden,
                bias: &running.bias,
                list: batch.list,
                previous,
                scores: &rows.scores,
                granted: &rows.granted,
                rule: running.rule,
                n_rows: batch.n_rows,
                params: cosine::Params { width: self.state.sizes.hidden / 4, rounds, forced },
            }),
            (Measure::Head(HeadStatistic::TopTwoGap), GateState { head: Some(head), .. }) => {
                self.for_each_piece(pass, head, question.first, batch, |pass, batch| {
                    let (bias, scores, granted) = (&running.bias, &rows.scores, &rows.granted);
                    let vocabulary = self.config.vocab_size;
                    let params = top_two_gap::Params { vocabulary, stride: vocabulary, rounds, forced };
                    let (logits, list, rule, n_rows) = (&head.logits, batch.list, running.rule, batch.n_rows);
                    pass.run(&TopTwoGap { logits, bias, list, scores, granted, rule, n_rows, params })
                })
            }
            _ => Ok(()),
        }
    }

    /// Final norm and head over as many of the listed rows at a time as there is room for logits of, and what is made of
    /// each piece. Rows before their `first` round have no logits yet, so one piece is all of them.
    fn for_each_piece(
        &self,
        pass: &mut Pass<'_>,
        head: &HeadRoom,
        first: bool,
        batch: Batch<'_>,
        mut make: impl FnMut(&mut Pass<'_>, Batch<'_>) -> Result<(), GpuError>,
    ) -> Result<(), GpuError> {
        if first {
            return make(pass, batch);
        }
        for from in (0..batch.n_rows).step_by(head.rows as usize) {
            let most = head.rows.min(batch.n_rows - from);
            let mut piece = Batch { n_rows: most, ..batch };
            if most < batch.n_rows {
                pass.run(&Slice { list: batch.list, piece: &head.piece, params: slice::Params { first: from, most } })?;
                piece.list = &head.piece;
            }
            self.head(pass, &head.logits, piece)?;
            make(pass, piece)?;
        }
        Ok(())
    }

    /// One scorer over the listed rows.
    fn score(
        &self,
        pass: &mut Pass<'_>,
        (gate, scorer, weights): (&Gate, &Scorer, &ScorerWeights),
        roles: Roles,
        question: Question,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (rows, running) = (&self.state.rows, &self.weights.gate);
        let mut input = &rows.hidden;
        if let Some(last) = weights.first.len().checked_sub(1) {
            let matrix = &weights.first[last.min(batch.round as usize)];
            let stride = crate::kernels::padded(weights.columns);
            let target = Target { buffer: &rows.scorer_inner, stride, mode: matvec::WRITE };
            self.product(pass, matrix, weights.columns, Input::Rows(&rows.hidden), batch, target)?;
            input = &rows.scorer_inner;
        }
        let width = crate::kernels::padded(weights.columns) / 4;
        pass.run(&Score {
            input,
            weight: &weights.last.buffer,
            bias: &running.bias,
            list: batch.list,
            scores: &rows.scores,
            factors: &rows.factors,
            granted: &rows.granted,
            rule: running.rule,
            n_rows: batch.n_rows,
            params: scorer::Params {
                width,
                input_stride: width,
                outputs: weights.outputs,
                bank_stride: weights.last.stride / 4,
                write_scores: roles.reported.into(),
                write_factor: roles.weighs.into(),
                decide: roles.decides.into(),
                ..gate_settings(gate, scorer, self.plan.n_rounds(), question.depth)
            },
        })
    }
}

/// As kernels take it.
fn forced(depth: Depth) -> u32 {
    if let Depth::Fixed(rounds) = depth { rounds } else { scorer::NOT_FORCED }
}

/// What a plan says of a gate that a scorer decides; shapes and roles are left at zero.
pub(crate) fn gate_settings(gate: &Gate, scorer: &Scorer, rounds: u32, depth: Depth) -> scorer::Params {
    scorer::Params {
        rounds,
        gelu: u32::from(scorer.layers == ScorerLayers::Mlp),
        function: match scorer.function {
            ScoreFunction::Identity => scorer::IDENTITY,
            ScoreFunction::Sigmoid => scorer::SIGMOID,
            ScoreFunction::Tanh => scorer::TANH,
            ScoreFunction::Softmax => scorer::SOFTMAX,
        },
        at_once: u32::from(gate.moment == Moment::Once),
        first_free: u32::from(gate.first_free),
        forced: forced(depth),
        inverse_temperature: 1.0 / scorer.temperature,
        alpha: scorer.alpha,
        ..bytemuck::Zeroable::zeroed()
    }
}
