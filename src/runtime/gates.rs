//! Asking a gate: what is measured of the listed rows, and what they are granted.
//!
//! **Invariant:** what weighs and what decides are asked apart, and in one dispatch where one scorer does both.

use crate::error::GpuError;
use crate::gpu::Pass;
use crate::kernels::exits::gate::{self, Gate as Score};
use crate::kernels::exits::select_top_k::{self, SelectTopK};
use crate::kernels::products::matvec;
use crate::network::gate::{Gate, Measure, Moment, Over, ScoreFunction, Scorer, ScorerLayers};
use crate::network::plan::Residual;
use crate::runtime::layer::Batch;
use crate::runtime::product::{Input, Target};
use crate::runtime::step::{Depth, Network};
use crate::runtime::weights::ScorerWeights;

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
    told: bool,
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
                told: gate.told() == Some(index),
                weighs: matches!(self.plan.residual, Residual::Add { weight, .. } if weight == Some(index)),
                decides: gate.decider() == Some(index),
            };
            if roles.told || roles.weighs || roles.decides {
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
        match gate.measure {
            Measure::Scorer(_) => Ok(()),
            _ => Ok(()),
        }
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
            gates: &rows.gates,
            granted: &rows.granted,
            rule: running.rule,
            n_rows: batch.n_rows,
            params: gate::Params {
                width,
                input_stride: width,
                outputs: weights.outputs,
                bank_stride: weights.last.stride / 4,
                write_scores: roles.told.into(),
                write_gate: roles.weighs.into(),
                decide: roles.decides.into(),
                ..gate_settings(gate, scorer, self.plan.n_rounds(), question.depth)
            },
        })
    }
}

/// What a plan says of a gate that a scorer decides; shapes and roles are left at zero.
pub(crate) fn gate_settings(gate: &Gate, scorer: &Scorer, rounds: u32, depth: Depth) -> gate::Params {
    gate::Params {
        rounds,
        gelu: u32::from(scorer.layers == ScorerLayers::Mlp),
        function: match scorer.function {
            ScoreFunction::Identity => gate::IDENTITY,
            ScoreFunction::Sigmoid => gate::SIGMOID,
            ScoreFunction::Tanh => gate::TANH,
            ScoreFunction::Softmax => gate::SOFTMAX,
        },
        token_choice: u32::from(gate.moment == Moment::Once),
        first_free: u32::from(gate.first_free),
        forced: if let Depth::Fixed(rounds) = depth { rounds } else { gate::NOT_FORCED },
        inverse_temperature: 1.0 / scorer.temperature,
        alpha: scorer.alpha,
        ..bytemuck::Zeroable::zeroed()
    }
}
