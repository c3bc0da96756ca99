//! The rounds of a step: which rows run them, by whose word, and what becomes of their results.
//!
//! **Invariant:** the host decides nothing on the way; each round's rows are a list that the GPU made.

use std::ops::Range;

use crate::error::GpuError;
use crate::gpu::{Buffer, Pass};
use crate::kernels::exits::bucket::{self, Bucket};
use crate::kernels::rows::combine::{self, Combine};
use crate::kernels::rows::encode::{self, Encode};
use crate::network::plan::{Operation, Residual};
use crate::runtime::gates::Question;
use crate::runtime::layer::Batch;
use crate::runtime::step::{Depth, Network, Probe};

impl<'a> Network<'a> {
    /// Rounds of a step or a wave: all of them, or those that are left to run. Where no gate decides, each row runs what it was granted before, which is not the
    /// same for all rows where these are `ragged`; where one decides over the rows of a text, so many of them compete.
    pub(super) fn rounds(
        &self,
        pass: &mut Pass<'_>,
        (depth, competitors): (Depth, usize),
        which: Range<u32>,
        ragged: bool,
        all: Batch<'a>,
        probe: &mut Option<&mut Probe>,
    ) -> Result<(), GpuError> {
        if let Some(leave) = self.leaves(depth) {
            return self.rounds_to_leave(pass, leave, which, all, probe);
        }
        let (rows, gate) = (&self.state.rows, self.gate(depth));
        // Rounds that nobody may run are not even recorded.
        let most = which.end.min(self.plan.n_rounds());
        let rounds = if let Depth::Fixed(fixed) = depth { fixed.min(most) } else { most };
        let adds_once = matches!(self.plan.residual, Residual::Add { once: true, .. });
        let adds_each = matches!(self.plan.residual, Residual::Add { once: false, .. });
        let mut scored = all.list;
        for round in which.start..rounds {
            if let Some(gate) = gate.filter(|gate| gate.asks(round)) {
                let question = Question { depth, competitors, first: round == 0 };
                self.ask(pass, gate, question, Batch { list: scored, round, ..all })?;
            }
            let mut listed = all.list;
            if self.plan.shared || ragged || gate.is_some() {
                // Where weights are shared, what differs by round is looked up by the row's round.
                self.list_round(pass, round, all)?;
                listed = &rows.rounds[round as usize % 2];
            }
            // Where deeper rounds attend to the first, every row must leave its keys and values there.
            let everyone = round == 0 && gate.is_some() && !self.plan.compact();
            let batch = Batch { list: if everyone { all.list } else { listed }, round, ..all };
            if adds_each || (adds_once && round == 0) {
                self.combine(pass, combine::COPY, &rows.hidden, &rows.work, batch)?;
            }
            self.round(pass, round, batch, probe)?;
            if adds_each {
                self.add_to_stream(pass, Batch { list: listed, ..batch })?;
                self.look(pass, probe, &format!("round{round}.hidden"), &rows.hidden, Some(listed))?;
            }
            scored = listed;
        }
        if adds_once && rounds > 0 {
            self.add_to_stream(pass, all)?;
            self.look(pass, probe, "block.hidden", &rows.hidden, None)?;
        }
        Ok(())
    }

    /// One round: its layers, and what is done at its end.
    pub(super) fn round(
        &self,
        pass: &mut Pass<'_>,
        round: u32,
        batch: Batch<'_>,
        probe: &mut Option<&mut Probe>,
    ) -> Result<(), GpuError> {
        let x = &self.state.rows.work;
        let one = &self.plan.rounds[round as usize];
        for layer in one.layers.clone() {
            self.layer(pass, layer, x, batch)?;
            if layer + 1 == one.layers.end && one.end == Some(Operation::Encode) {
                self.encode(pass, layer, x, batch)?;
            }
            self.look_at_layer(pass, probe, layer, round, x, batch.list)?;
        }
        Ok(())
    }

    /// Multiplies rows by the vector that stands behind a layer.
    fn encode(&self, pass: &mut Pass<'_>, layer: usize, x: &Buffer, batch: Batch<'_>) -> Result<(), GpuError> {
        let Some(encoding) = &self.weights.layers[layer].encoding else { return Ok(()) };
        let params = encode::Params { stride: self.state.sizes.hidden / 4, bank_stride: encoding.stride / 4 };
        let (encoding, list, n_rows) = (&encoding.buffer, batch.list, batch.n_rows);
        pass.run(&Encode { encoding, rows: &self.state.rows.info, list, hidden: x, n_rows, params })
    }

    /// Adds what the listed rows made of the stream to it, weighed where the plan says so.
    pub(super) fn add_to_stream(&self, pass: &mut Pass<'_>, batch: Batch<'_>) -> Result<(), GpuError> {
        let rows = &self.state.rows;
        let mode = match self.plan.residual {
            Residual::Replace => return Ok(()),
            Residual::Add { weight: Some(_), .. } => combine::ADD_WEIGHED,
            Residual::Add { weight: None, .. } => combine::ADD,
        };
        self.combine(pass, mode, &rows.work, &rows.hidden, batch)
    }

    pub(super) fn list_round(&self, pass: &mut Pass<'_>, round: u32, all: Batch<'a>) -> Result<(), GpuError> {
        let (rows, lanes) = (&self.state.rows, &self.state.lanes);
        let first = &self.plan.layers[self.plan.rounds[round as usize].layers.start];
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
                row_round: if self.plan.shared { round } else { 0 },
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
        let factors = &self.state.rows.factors;
        pass.run(&Combine { input, factors, list: batch.list, output, mode, n_rows: batch.n_rows, params })
    }
}
