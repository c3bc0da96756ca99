//! The rounds of a step: which rows run them, by whose word, and what becomes of their results.
//!
//! **Invariant:** the host decides nothing on the way; each round's rows are a list that the GPU made.

use crate::error::GpuError;
use crate::gpu::{Buffer, Pass};
use crate::kernels::exits::bucket::{self, Bucket};
use crate::kernels::exits::gate::{self, Gate};
use crate::kernels::exits::select_top_k::{self, SelectTopK};
use crate::kernels::products::matvec;
use crate::kernels::rows::combine::{self, Combine};
use crate::network::config::{Router, RouterFunction, RouterKind, RouterNetwork};
use crate::runtime::layer::Batch;
use crate::runtime::product::{Input, Target};
use crate::runtime::step::{Depth, Network, Probe};
use crate::runtime::weights::RouterWeights;

impl<'a> Network<'a> {
    /// Rounds of a network without a router: each row runs what it was granted, which is not the same for all rows
    /// where these are `ragged`.
    pub(super) fn plain_rounds(
        &self,
        pass: &mut Pass<'_>,
        depth: Depth,
        ragged: bool,
        all: Batch<'a>,
        probe: &mut Option<&mut Probe>,
    ) -> Result<(), GpuError> {
        let rows = &self.state.rows;
        let rounds = match depth {
            Depth::Fixed(rounds) => rounds.min(self.plan.n_rounds()),
            _ => self.plan.n_rounds(),
        };
        for round in 0..rounds {
            let mut batch = Batch { round, ..all };
            if self.plan.shared || ragged {
                // Weights are shared, so what differs by round is looked up by the row's depth.
                self.list_round(pass, round, all)?;
                batch.list = &rows.rounds[round as usize % 2];
            }
            for layer in self.plan.rounds[round as usize].clone() {
                self.layer(pass, layer, &rows.hidden, batch)?;
                self.look_at_layer(pass, probe, layer, round, &rows.hidden, batch.list)?;
            }
        }
        Ok(())
    }

    /// Rounds of a Mixture-of-Recursions network (expert-choice and token-choice).
    pub(super) fn routed_rounds(
        &self,
        pass: &mut Pass<'_>,
        router: &Router,
        depth: Depth,
        competitors: usize,
        all: Batch<'a>,
        probe: &mut Option<&mut Probe>,
    ) -> Result<(), GpuError> {
        let rows = &self.state.rows;
        let expert = router.kind == RouterKind::Expert;
        // Where deeper rounds attend to round 0, every row must leave its keys and values there.
        let positions = !self.plan.layers[self.plan.rounds[0].start].cache.compact;
        let mode = if router.weighted { combine::ADD_GATED } else { combine::ADD };
        // Rounds that nobody may run are not even recorded.
        let rounds = match depth {
            Depth::Fixed(fixed) => fixed.min(self.plan.n_rounds()),
            Depth::Model | Depth::TopK => self.plan.n_rounds(),
        };
        let mut scored = all.list;
        for round in 0..rounds {
            if expert || round == 0 {
                let batch = Batch { list: scored, round, ..all };
                self.gate(pass, router, depth, competitors, batch)?;
            }
            self.list_round(pass, round, all)?;
            let listed = &rows.rounds[round as usize % 2];
            let everyone = round == 0 && positions;
            let batch = Batch { list: if everyone { all.list } else { listed }, round, ..all };
            if expert || round == 0 {
                self.combine(pass, combine::COPY, &rows.hidden, &rows.work, batch)?;
            }
            for layer in self.plan.rounds[round as usize].clone() {
                self.layer(pass, layer, &rows.work, batch)?;
                self.look_at_layer(pass, probe, layer, round, &rows.work, batch.list)?;
            }
            if expert {
                self.combine(pass, mode, &rows.work, &rows.hidden, Batch { list: listed, ..batch })?;
                self.look(pass, probe, &format!("round{round}.hidden"), &rows.hidden, Some(listed))?;
            }
            scored = listed;
        }
        if !expert && rounds > 0 {
            self.combine(pass, mode, &rows.work, &rows.hidden, all)?;
            self.look(pass, probe, "block.hidden", &rows.hidden, None)?;
        }
        Ok(())
    }

    /// Scores the listed rows and decides on their next round; `competitors` are the rows that top-k selects among.
    pub(super) fn gate(
        &self,
        pass: &mut Pass<'_>,
        router: &Router,
        depth: Depth,
        competitors: usize,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let Some(main) = &self.weights.router else { return Ok(()) };
        let top_k = depth == Depth::TopK;
        let by_score = !top_k && router.kind == RouterKind::Expert;
        let auxiliary = self.weights.auxiliary.as_ref().filter(|_| by_score);
        self.run_router(pass, router, main, depth, batch, (true, by_score && auxiliary.is_none()))?;
        if let Some(weights) = auxiliary {
            self.run_router(pass, router, weights, depth, batch, (false, true))?;
        }
        if top_k && router.kind == RouterKind::Expert {
            let keep = kept(router.capacity[batch.round as usize], competitors);
            let sign = if router.function != RouterFunction::Identity && router.alpha < 0.0 { -1.0 } else { 1.0 };
            let rows = &self.state.rows;
            pass.run(&SelectTopK {
                scores: &rows.scores,
                rows: &rows.info,
                list: batch.list,
                granted: &rows.granted,
                n_rows: batch.n_rows,
                params: select_top_k::Params { rounds: self.plan.n_rounds(), round: batch.round, keep, sign },
            })?;
        }
        Ok(())
    }

    /// One router; `roles` tells whether its scores and gate are kept, and whether it decides.
    fn run_router(
        &self,
        pass: &mut Pass<'_>,
        router: &Router,
        weights: &RouterWeights,
        depth: Depth,
        batch: Batch<'_>,
        roles: (bool, bool),
    ) -> Result<(), GpuError> {
        let rows = &self.state.rows;
        let mut input = &rows.hidden;
        if let Some(last) = weights.first.len().checked_sub(1) {
            let matrix = &weights.first[last.min(batch.round as usize)];
            let stride = crate::kernels::padded(weights.columns);
            let target = Target { buffer: &rows.router_inner, stride, mode: matvec::WRITE };
            self.product(pass, matrix, weights.columns, Input::Rows(&rows.hidden), batch, target)?;
            input = &rows.router_inner;
        }
        let width = crate::kernels::padded(weights.columns) / 4;
        pass.run(&Gate {
            input,
            weight: &weights.last.buffer,
            bias: &self.weights.router_bias,
            list: batch.list,
            scores: &rows.scores,
            gates: &rows.gates,
            granted: &rows.granted,
            rule: self.weights.router_rule,
            n_rows: batch.n_rows,
            params: gate::Params {
                width,
                input_stride: width,
                outputs: weights.outputs,
                bank_stride: weights.last.stride / 4,
                write_gate: roles.0.into(),
                decide: roles.1.into(),
                ..gate_settings(router, self.plan.n_rounds(), depth, !roles.0)
            },
        })
    }

    fn list_round(&self, pass: &mut Pass<'_>, round: u32, all: Batch<'_>) -> Result<(), GpuError> {
        let (rows, lanes) = (&self.state.rows, &self.state.lanes);
        let first = &self.plan.layers[self.plan.rounds[round as usize].start];
        pass.run(&Bucket {
            granted: &rows.granted,
            first: &rows.first,
            rows: &rows.info,
            lengths: &lanes.lengths,
            before: &rows.before,
            reach: &lanes.reach,
            list: &rows.rounds[round as usize % 2],
            params: bucket::Params {
                base: all.base,
                rows: all.region,
                round,
                depth: if self.plan.shared { round } else { 0 },
                classes: self.plan.classes,
                class_of_round: first.cache.class_base + round * first.cache.class_step,
                context: self.state.sizes.room.context,
            },
        })
    }

    pub(super) fn combine(
        &self,
        pass: &mut Pass<'_>,
        mode: u32,
        input: &Buffer,
        output: &Buffer,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let params = combine::Params { stride: self.state.sizes.hidden / 4 };
        let gates = &self.state.rows.gates;
        pass.run(&Combine { input, gates, list: batch.list, output, mode, n_rows: batch.n_rows, params })
    }
}

/// What a router's config says of its gate; shapes and roles are left at zero.
pub(crate) fn gate_settings(router: &Router, rounds: u32, depth: Depth, auxiliary: bool) -> gate::Params {
    gate::Params {
        rounds,
        gelu: u32::from(router.network == RouterNetwork::Mlp),
        function: match router.function {
            RouterFunction::Identity => gate::IDENTITY,
            RouterFunction::Sigmoid => gate::SIGMOID,
            RouterFunction::Tanh => gate::TANH,
            RouterFunction::Softmax => gate::SOFTMAX,
        },
        token_choice: u32::from(router.kind == RouterKind::Token),
        first_free: u32::from(!router.gate_first),
        forced: if let Depth::Fixed(rounds) = depth { rounds } else { gate::NOT_FORCED },
        // The auxiliary router is trained on the undivided input.
        inverse_temperature: if auxiliary { 1.0 } else { 1.0 / router.temperature },
        alpha: router.alpha,
        ..bytemuck::Zeroable::zeroed()
    }
}

/// Rows of `n` that top-k routing keeps: `max(1, floor(capacity * n))`.
pub fn kept(capacity: f64, n: usize) -> u32 {
    ((capacity * n as f64).floor() as u32).max(1)
}
