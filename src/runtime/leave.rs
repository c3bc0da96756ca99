//! Tokens that leave a plain stack early within a pass: what is measured behind some layers, who goes on, and the keys and values of
//! those who left.
//!
//! ```text
//! embed -> layers up to the first probe -> measure, verdict -> layers up to the next, for those who go on -> ...
//!                                             | those who left: keys and values of each further layer, or none
//!                                             -> final norm and head, or the exit's own
//! ```
//!
//! **Invariant:** prompts run all layers; a row's numbers are the same in any company, to the bit.

use std::ops::Range;

use crate::depth::policy::NEVER;
use crate::error::GpuError;
use crate::gpu::{Buffer, Gpu, Pass};
use crate::kernels::Granted;
use crate::kernels::exits::cosine::{self, Cosine};
use crate::kernels::exits::head_statistic::{self, Statistic};
use crate::kernels::exits::own_logits::{self, OwnLogits};
use crate::kernels::exits::scorer::NOT_FORCED;
use crate::kernels::exits::settled::{self, Settled};
use crate::kernels::exits::sift::{self, Sift};
use crate::kernels::exits::verdict::{self, Verdict};
use crate::kernels::products::matrix::Matrix;
use crate::kernels::products::matvec;
use crate::kernels::rows::combine;
use crate::network::exit::Exit;
use crate::network::gate::{self, Measure};
use crate::network::plan::MissingKeys;
use crate::runtime::gates::HeadRoom;
use crate::runtime::layer::Batch;
use crate::runtime::product::{Input, Target};
use crate::runtime::state::Sizes;
use crate::runtime::step::{Depth, Network, Probe, Step};
use crate::runtime::weights::Bank;

/// How tokens leave early.
#[derive(Debug, Clone)]
pub struct Leave {
    /// The mode.
    pub exit: Exit,
    /// What it measures with.
    pub measure: Measured,
    /// What thresholds are multiplied by, by tokens of a text that were decided before, `[context]`.
    pub fade: Buffer,
    /// Heads of their own, the shallowest first; none: the model's.
    pub heads: Vec<OwnHead>,
    /// Rows that are asked, `[count, rows...]`.
    pub asked: Buffer,
    /// Rows that have left, `[count, rows...]`.
    pub left: Buffer,
}

/// What a mode measures with.
#[derive(Debug, Clone)]
pub enum Measured {
    /// A statistic of logits, in room for those of some rows.
    Head(Statistic, HeadRoom),
    /// The stream at the probe before, `[rows of a step + lanes, padded(hidden)]`.
    Turn(Buffer),
    /// A linear head over the stream, `[padded(hidden)]`, and what is added to it.
    Settled(Buffer, f32),
}

/// A head behind a layer.
#[derive(Debug, Clone)]
pub struct OwnHead {
    /// Layers before it.
    pub depth: u32,
    /// `[padded(hidden)]`
    pub norm: Bank,
    /// `[vocabulary, hidden]`
    pub weight: Matrix,
}

impl Leave {
    /// Room for a mode; `settled` is its head over the stream where it has one.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], naming what did not fit; [`GpuError::Internal`] for a measure that no kernel takes.
    pub fn new(
        gpu: &Gpu,
        (sizes, vocabulary): (&Sizes, u32),
        exit: Exit,
        settled: Option<(Buffer, f32)>,
        heads: Vec<OwnHead>,
    ) -> Result<Self, GpuError> {
        let rows = sizes.room.rows + sizes.room.lane_rows();
        let statistic = |statistic| Ok(Measured::Head(statistic, HeadRoom::new(gpu, rows, vocabulary)?));
        let measure = match (exit.gate.measure, settled) {
            (Measure::Head(gate::HeadStatistic::TopTwoGap), _) => statistic(Statistic::TopTwoGap)?,
            (Measure::Head(gate::HeadStatistic::Largest), _) => statistic(Statistic::Largest)?,
            (Measure::Head(gate::HeadStatistic::Entropy), _) => statistic(Statistic::Entropy)?,
            (Measure::Change(gate::Change::Cosine), _) => {
                let bytes = u64::from(rows) * u64::from(sizes.hidden) * 4;
                Measured::Turn(gpu.buffer("stream at the probe before", bytes)?)
            }
            (Measure::Scorer(_), Some((weight, bias))) => Measured::Settled(weight, bias),
            (measure, _) => return Err(GpuError::Internal { why: format!("no kernel measures {measure:?}") }),
        };
        let fade: Vec<f32> =
            (0..sizes.room.context).map(|decided| exit.fade.map_or(1.0, |fade| fade.factor(decided))).collect();
        let list = |label| gpu.buffer(label, u64::from(rows + 1) * 4);
        let (asked, left) = (list("rows that are asked")?, list("rows that have left")?);
        Ok(Self { exit, measure, fade: gpu.upload("fade of thresholds", &fade)?, heads, asked, left })
    }

    /// Bytes on the GPU.
    pub(super) fn bytes(&self) -> u64 {
        let Self { exit: _, measure, fade, heads, asked, left } = self;
        let measure = match measure {
            Measured::Head(_, room) => room.bytes(),
            Measured::Turn(buffer) | Measured::Settled(buffer, _) => buffer.bytes(),
        };
        let heads: u64 = heads.iter().map(|head| head.norm.buffer.bytes() + head.weight.bytes()).sum();
        measure + heads + [fade, asked, left].map(Buffer::bytes).iter().sum::<u64>()
    }
}

impl<'a> Network<'a> {
    /// How rows leave early; `None` where their depth is decided otherwise.
    pub(super) fn leaves(&self, depth: Depth) -> Option<&'a Leave> {
        self.state.leave.as_ref().filter(|_| depth == Depth::Model)
    }

    /// What a row of a step is granted at once, where all rounds are `rounds`.
    pub(super) fn granted_of(&self, depth: Depth, rounds: u32, written: bool) -> Granted {
        match (&self.state.leave, self.leaves(depth)) {
            (_, Some(leave)) if written => Granted { rounds: leave.exit.next(0, self.plan.n_rounds()), forced: 0 },
            (Some(_), _) => Granted { rounds, forced: rounds },
            (None, _) => Granted { rounds, forced: 0 },
        }
    }

    /// How deep a step's rounds go: where nobody may leave, all rows run as many. Where layers have holes it is put down how many.
    pub(super) fn before_rounds(
        &self,
        pass: &mut Pass<'_>,
        step: &Step<'_>,
        all: Batch<'a>,
    ) -> Result<Depth, GpuError> {
        let depth = match self.leaves(step.depth) {
            Some(_) if step.inputs.iter().any(|input| input.written) => return Ok(step.depth),
            Some(_) => Depth::Fixed(self.plan.n_rounds()),
            None => step.depth,
        };
        let holes = self.state.leave.as_ref().is_some_and(|leave| leave.exit.missing == MissingKeys::Holes);
        if let Depth::Fixed(rounds @ 1..) = depth
            && holes
        {
            self.list_round(pass, rounds.min(self.plan.n_rounds()) - 1, all)?;
        }
        Ok(depth)
    }

    /// Rounds of a step or a wave whose rows leave where the mode says so.
    pub(super) fn rounds_to_leave(
        &self,
        pass: &mut Pass<'_>,
        leave: &'a Leave,
        which: Range<u32>,
        all: Batch<'a>,
        probe: &mut Option<&mut Probe>,
    ) -> Result<(), GpuError> {
        let (rows, most) = (&self.state.rows, self.plan.n_rounds());
        if let Measured::Turn(previous) = &leave.measure {
            self.combine(pass, combine::COPY, &rows.hidden, previous, all)?;
        }
        for round in which {
            if let Some(asked) = leave.exit.probes.iter().find(|probe| probe.depth == round) {
                self.sift(pass, all, (round, round + 1), &leave.asked)?;
                self.ask_to_leave(pass, leave, asked.threshold, Batch { list: &leave.asked, round, ..all })?;
            }
            self.list_round(pass, round, all)?;
            if leave.exit.missing == MissingKeys::Propagated && round >= leave.exit.next(0, most) {
                self.sift(pass, all, (1, round + 1), &leave.left)?;
                for layer in self.plan.rounds[round as usize].layers.clone() {
                    self.keys_alone(pass, layer, &rows.work, Batch { list: &leave.left, round, ..all })?;
                }
            }
            let batch = Batch { list: &rows.rounds[round as usize % 2], round, ..all };
            self.round(pass, round, batch, probe)?;
        }
        Ok(())
    }

    /// Lists those rows of a batch that were granted at least so many rounds and less than so many, and are not forced.
    fn sift(
        &self,
        pass: &mut Pass<'_>,
        batch: Batch<'_>,
        (least, end): (u32, u32),
        sifted: &Buffer,
    ) -> Result<(), GpuError> {
        let granted = &self.state.rows.granted;
        pass.run(&Sift { granted, list: batch.list, sifted, params: sift::Params { least, end } })
    }

    /// Measures the rows of a batch, which stand at a probe, and decides who goes on.
    fn ask_to_leave(
        &self,
        pass: &mut Pass<'_>,
        leave: &Leave,
        threshold: f32,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let (rows, rounds, depth) = (&self.state.rows, self.plan.n_rounds(), batch.round);
        let (width, bias, n_rows) = (self.state.sizes.hidden / 4, &self.weights.gate.bias, batch.n_rows);
        let (scores, granted) = (&rows.scores, &rows.granted);
        match &leave.measure {
            Measured::Head(statistic, room) => {
                let own = leave.heads.iter().find(|head| head.depth == depth);
                self.for_each_piece(pass, room, batch, |pass, piece, _| {
                    self.head_of(pass, own, &room.logits, piece)?;
                    let vocabulary = self.config.vocab_size;
                    pass.run(&head_statistic::HeadStatistic {
                        logits: &room.logits,
                        bias,
                        list: piece.list,
                        scores,
                        granted,
                        statistic: *statistic,
                        rule: NEVER,
                        n_rows: piece.n_rows,
                        params: head_statistic::Params { vocabulary, stride: vocabulary, rounds, forced: NOT_FORCED },
                    })
                })?;
            }
            Measured::Turn(previous) => pass.run(&Cosine {
                stream: &rows.hidden,
                bias,
                list: batch.list,
                previous,
                scores,
                granted,
                rule: NEVER,
                n_rows,
                params: cosine::Params { width, rounds, forced: NOT_FORCED },
            })?,
            Measured::Settled(weight, bias) => pass.run(&Settled {
                stream: &rows.hidden,
                weight,
                list: batch.list,
                scores,
                n_rows,
                params: settled::Params { width, rounds, depth, bias: *bias },
            })?,
        }
        let (next, context) = (leave.exit.next(depth, rounds), self.state.sizes.room.context);
        pass.run(&Verdict {
            scores,
            rows: &rows.info,
            control: &self.state.lanes.control,
            fade: &leave.fade,
            list: batch.list,
            granted,
            rule: leave.exit.gate.rule,
            n_rows,
            params: verdict::Params { rounds, depth, next, context, threshold },
        })
    }

    /// Logits of the listed rows by an exit's own head, or by the model's.
    fn head_of(
        &self,
        pass: &mut Pass<'_>,
        own: Option<&OwnHead>,
        logits: &Buffer,
        batch: Batch<'_>,
    ) -> Result<(), GpuError> {
        let Some(own) = own else { return self.head(pass, logits, batch) };
        let rows = &self.state.rows;
        self.norm(pass, &rows.hidden, (self.plan.form.final_norm, &own.norm), batch)?;
        let vocabulary = self.config.vocab_size;
        let target = Target { buffer: logits, stride: vocabulary, mode: matvec::COMPACT };
        self.product(pass, &own.weight, vocabulary, Input::Made(&rows.normed), batch, target)
    }

    /// Of rows that left at an exit with a head of its own: its logits, in place of the model's.
    pub(super) fn own_heads(&self, pass: &mut Pass<'_>, batch: Batch<'_>) -> Result<(), GpuError> {
        let Some(Leave { measure: Measured::Head(_, room), heads, left, .. }) = &self.state.leave else {
            return Ok(());
        };
        let rows = &self.state.rows;
        for head in heads {
            self.sift(pass, batch, (head.depth, head.depth + 1), left)?;
            self.for_each_piece(pass, room, Batch { list: left, ..batch }, |pass, piece, first| {
                self.head_of(pass, Some(head), &room.logits, piece)?;
                pass.run(&OwnLogits {
                    granted: &rows.granted,
                    list: batch.list,
                    own: &room.logits,
                    logits: &rows.logits,
                    n_rows: batch.n_rows,
                    params: own_logits::Params {
                        depth: head.depth,
                        vocabulary: self.config.vocab_size,
                        first,
                        most: piece.n_rows,
                    },
                })
            })?;
        }
        Ok(())
    }
}
