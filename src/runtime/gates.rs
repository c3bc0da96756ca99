//! Asking a gate: what is measured of the listed rows, and what they are granted.
//!
//! **Invariant:** what weighs and what decides are asked apart, and in one dispatch where one scorer does both.

use crate::error::GpuError;
use crate::gpu::{Buffer, Gpu, Pass, Source};
use crate::kernels::exits::cosine::{self, Cosine};
use crate::kernels::exits::head_statistic::{self, HeadStatistic, Statistic};
use crate::kernels::exits::scorer::{self, Scorer as Score};
use crate::kernels::exits::select_top_k::{self, SelectTopK};
use crate::kernels::exits::slice::{self, Slice};
use crate::kernels::products::matvec;
use crate::network::gate::{self, Change, Gate, Measure, Moment, Over, ScoreFunction, Scorer, ScorerLayers};
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
        match decider(measure).map_or(Needs::Nothing, |decider| decider.needs) {
            Needs::Nothing => Ok(Self::default()),
            Needs::Previous => {
                let bytes = u64::from(rows) * u64::from(sizes.hidden) * 4;
                Ok(Self { previous: Some(gpu.buffer("stream before the round", bytes)?), head: None })
            }
            Needs::Logits => Ok(Self { previous: None, head: Some(HeadRoom::new(gpu, rows, vocabulary)?) }),
        }
    }

    /// Bytes on the GPU.
    pub(super) fn bytes(&self) -> u64 {
        let Self { previous, head } = self;
        previous.iter().map(Buffer::bytes).chain(head.iter().map(HeadRoom::bytes)).sum()
    }
}

impl HeadRoom {
    /// Room for the logits of at most so many rows.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], naming what did not fit.
    pub(super) fn new(gpu: &Gpu, rows: u32, vocabulary: u32) -> Result<Self, GpuError> {
        let row = u64::from(vocabulary) * 4;
        let rows = (LOGITS.min(gpu.max_binding_bytes()) / row).clamp(1, u64::from(rows)) as u32;
        let logits = gpu.buffer("logits of a gate", u64::from(rows) * row)?;
        let piece = gpu.buffer("rows with a gate's logits", (u64::from(rows) + 1) * 4)?;
        Ok(Self { logits, rows, piece })
    }

    /// Bytes on the GPU.
    pub(super) fn bytes(&self) -> u64 {
        self.logits.bytes() + self.piece.bytes()
    }
}

/// Name and text of the kernel that decides by a measure, with a rule of one's own.
pub(crate) fn deciding(measure: Measure, rule: &'static str) -> (&'static str, Source) {
    match decider(measure) {
        Some(decider) => (decider.kernel, (decider.source)(rule)),
        None => ("scorer", scorer::source(rule)),
    }
}

/// A kernel that measures what is no scorer's, and decides.
struct Decider {
    measure: Measure,
    kernel: &'static str,
    /// Its text with a rule.
    source: fn(&'static str) -> Source,
    needs: Needs,
    run: fn(&Network<'_>, &mut Pass<'_>, Question, Batch<'_>) -> Result<(), GpuError>,
}

/// What a measure needs beside the stream.
#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    /// The stream at the measure before.
    Previous,
    /// Logits of the rows.
    Logits,
}

/// One for each measure of [`GATES`](crate::network::gate::GATES); a further one is a further entry.
const DECIDERS: [Decider; 2] = [
    Decider {
        measure: Measure::Change(Change::Cosine),
        kernel: "cosine",
        source: cosine::source,
        needs: Needs::Previous,
        run: |network, pass, question, batch| network.cosine(pass, question, batch),
    },
    Decider {
        measure: Measure::Head(gate::HeadStatistic::TopTwoGap),
        kernel: "head_statistic",
        source: |rule| head_statistic::source(Statistic::TopTwoGap, rule),
        needs: Needs::Logits,
        run: |network, pass, question, batch| network.top_two_gap(pass, question, batch),
    },
];

/// Who decides by a measure, if it is no scorer.
fn decider(measure: Measure) -> Option<&'static Decider> {
    DECIDERS.iter().find(|decider| decider.measure == measure)
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
        decider(gate.measure).map_or(Ok(()), |decider| (decider.run)(self, pass, question, batch))
    }

    fn cosine(&self, pass: &mut Pass<'_>, question: Question, batch: Batch<'_>) -> Result<(), GpuError> {
        let (running, rows, rounds) = (&self.weights.gate, &self.state.rows, self.plan.n_rounds());
        let Some(previous) = &running.state.previous else { return Ok(()) };
        let (width, forced) = (self.state.sizes.hidden / 4, forced(question.depth));
        pass.run(&Cosine {
            stream: &rows.hidden,
            bias: &running.bias,
            list: batch.list,
            previous,
            scores: &rows.scores,
            granted: &rows.granted,
            rule: running.rule,
            n_rows: batch.n_rows,
            params: cosine::Params { width, rounds, forced },
        })
    }

    fn top_two_gap(&self, pass: &mut Pass<'_>, question: Question, batch: Batch<'_>) -> Result<(), GpuError> {
        let (running, rows, rounds) = (&self.weights.gate, &self.state.rows, self.plan.n_rounds());
        let Some(head) = &running.state.head else { return Ok(()) };
        let (vocabulary, forced) = (self.config.vocab_size, forced(question.depth));
        let measure = |pass: &mut Pass<'_>, batch: Batch<'_>| {
            let (bias, scores, granted) = (&running.bias, &rows.scores, &rows.granted);
            let params = head_statistic::Params { vocabulary, stride: vocabulary, rounds, forced };
            let (logits, list, rule, n_rows) = (&head.logits, batch.list, running.rule, batch.n_rows);
            let statistic = Statistic::TopTwoGap;
            pass.run(&HeadStatistic { logits, bias, list, scores, granted, statistic, rule, n_rows, params })
        };
        // Rows before their first round have no logits yet.
        if question.first {
            return measure(pass, batch);
        }
        self.for_each_piece(pass, head, batch, |pass, piece, _| {
            self.head(pass, &head.logits, piece)?;
            measure(pass, piece)
        })
    }

    /// As many of the listed rows at a time as there is room for logits of, and what is made of each piece, which begins at a
    /// place of the list.
    pub(super) fn for_each_piece(
        &self,
        pass: &mut Pass<'_>,
        head: &HeadRoom,
        batch: Batch<'_>,
        mut make: impl FnMut(&mut Pass<'_>, Batch<'_>, u32) -> Result<(), GpuError>,
    ) -> Result<(), GpuError> {
        for from in (0..batch.n_rows).step_by(head.rows as usize) {
            let most = head.rows.min(batch.n_rows - from);
            let mut piece = Batch { n_rows: most, ..batch };
            if most < batch.n_rows {
                pass.run(&Slice { list: batch.list, piece: &head.piece, params: slice::Params { first: from, most } })?;
                piece.list = &head.piece;
            }
            make(pass, piece, from)?;
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

#[test]
fn every_gate_of_the_list_has_a_kernel() {
    for gate in crate::network::gate::GATES {
        let decider = decider(gate.measure).unwrap_or_else(|| panic!("{}", gate.name));
        assert!(
            (decider.source)(gate.rule.text()).text().contains(&format!("fn {}(", decider.kernel)),
            "{}",
            gate.name
        );
    }
}
