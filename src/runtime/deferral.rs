//! Deeper layers put off: tokens told by the first layers where these are sure, on plain stacks.
//!
//! ```text
//! newest row of each lane -> first layers -> exit's head -> draw -> sure? told; the row waits
//!                                                           not sure? it and all rows that wait run the other layers at once
//! ```
//!
//! Rows that wait are the first of their lane's span, with what the first layers left of them (stream, keys and values). What
//! the other layers compute of them, later and together, is what they would have computed of them one after the other: so behind
//! such a pass the cache is, to the bit, that of the whole network over the same tokens. Where there are several exits, rows that
//! wait enter again from the embedding in every pass.
//!
//! **Invariant:** what a lane tells depends on its own sequence and threshold alone.

use crate::error::GpuError;
use crate::gpu::{Buffer, Gpu, Pass};
use crate::kernels::deferring::agree::{self, Agree};
use crate::kernels::deferring::commit::{self, Commit, Waiting};
use crate::kernels::deferring::line_up::{self, ALL, LineUp, NEWEST, OLDER};
use crate::kernels::deferring::sureness::{self, Sureness};
use crate::kernels::exits::finish::{EVENTS_START, event_words};
use crate::kernels::{Control, NEXT_TOKEN};
use crate::network::plan::{Plan, Residual};
use crate::runtime::draft::readout::Readout;
use crate::runtime::layer::Batch;
use crate::runtime::state::{Sizes, State};
use crate::runtime::step::{Depth, Network};
use crate::runtime::tick::Tick;

/// How deeper layers are put off.
#[derive(Debug, Clone)]
pub struct Deferral {
    /// Where a token may be told, the first exit first.
    pub exits: Vec<Exit>,
    /// Rows that wait enter again from the embedding in every pass; otherwise there is one exit, and they stay behind it.
    pub again: bool,
    /// Rows of a lane that may be in use: the newest, and those that wait. The newest of so many goes deeper untested.
    pub most_rows: u32,
    /// What is asked for.
    pub measure: Measure,
    /// Tells of rows that ran all layers whether the exit's most probable token is theirs.
    pub compares: bool,
    /// `[lanes]` of [`Waiting`]
    pub waiting: Buffer,
    /// Most probable token of the exit, `[rows]`.
    pub best: Buffer,
    /// Most probable token of all layers, `[rows]`.
    pub whole: Buffer,
}

/// Where a token may be told.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Rounds before it, at least one and less than all.
    pub rounds: u32,
    /// What reads the stream there, to logits of the whole vocabulary.
    pub readout: Readout,
}

/// How sure a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The two largest probabilities' difference is above the threshold.
    Gap,
    /// The largest probability's logarithm is at least the threshold.
    LogLargest,
}

impl Deferral {
    /// Room for the lists of rows that wait; nobody waits.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], naming what did not fit.
    pub fn new(gpu: &Gpu, sizes: &Sizes, exits: Vec<Exit>, measure: Measure) -> Result<Self, GpuError> {
        let rows = u64::from(sizes.room.rows + sizes.room.lane_rows());
        Ok(Self {
            exits,
            again: false,
            most_rows: sizes.room.span,
            measure,
            compares: false,
            waiting: gpu.buffer("thresholds of lanes", u64::from(sizes.room.lanes) * size_of::<Waiting>() as u64)?,
            best: gpu.buffer("most probable tokens of an exit", rows * 4)?,
            whole: gpu.buffer("most probable tokens", rows * 4)?,
        })
    }

    /// Whether layers of a plan can be put off: each is a round of its own, and nothing is decided on, or added, at their ends.
    pub fn fits(plan: &Plan) -> bool {
        !plan.shared && !plan.compact() && plan.residual == Residual::Replace && plan.epilogue.is_empty()
    }
}

impl State {
    /// Puts layers off from the next tick on, or no longer; no lane may be in use.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], where there is no room to tell of rows that are compared.
    pub fn defer(&mut self, gpu: &Gpu, plan: &Plan, deferral: Option<Deferral>) -> Result<(), GpuError> {
        let room = self.sizes.room;
        // Bind groups of another would keep what it decided with.
        gpu.forget_bind_groups();
        // Where a lane's rows come from guesses, or where they once did.
        gpu.write(&self.rows.tokens, u64::from(room.rows) * 4, &vec![NEXT_TOKEN; room.lane_rows() as usize]);
        if deferral.as_ref().is_some_and(|deferral| deferral.compares) {
            // A lane can draw a token of all layers and one of the first in a tick, beside all that is compared.
            let events = room.lanes * (2 + room.span) * event_words(plan.n_rounds(), room.alternatives);
            self.lanes.events = gpu.buffer("events", u64::from(EVENTS_START + events) * 4)?;
        }
        self.deferral = deferral;
        Ok(())
    }

    /// What a lane is asked for from now on.
    pub fn ask_lane(&self, gpu: &Gpu, lane: u32, waiting: Waiting) {
        if let Some(deferral) = &self.deferral {
            gpu.write(&deferral.waiting, u64::from(lane) * size_of::<Waiting>() as u64, &[waiting]);
        }
    }

    /// Rows of a lane as far as those behind the first are guesses.
    pub(super) fn guessing_span(&self) -> u32 {
        if self.deferral.is_some() { 1 } else { self.sizes.room.span }
    }

    /// Events that there is room for.
    pub(super) fn most_events(&self, rounds: u32) -> u32 {
        (self.lanes.events.bytes() as u32 / 4 - EVENTS_START) / event_words(rounds, self.sizes.room.alternatives)
    }
}

impl<'a> Network<'a> {
    /// Records one tick in which layers may be put off.
    pub(super) fn tick_deferring(
        &self,
        pass: &mut Pass<'_>,
        tick: &Tick,
        deferral: &'a Deferral,
    ) -> Result<(), GpuError> {
        let (lanes, room) = (&self.state.lanes, self.state.sizes.room);
        let newest = Batch {
            list: &lanes.live,
            n_rows: self.recipe.rows(tick.lanes),
            longest: tick.longest,
            round: 0,
            base: room.rows,
            region: room.lane_rows(),
            decoding: true,
            mixed: None,
        };
        let n_rows = self.recipe.rows(tick.lanes * deferral.most_rows);
        let many = Batch { list: &lanes.deeper, n_rows, decoding: false, ..newest };
        self.leave_deferring(pass, deferral, Batch { list: &lanes.leaving, ..newest }, many)?;
        let begin = if deferral.again { (many, ALL) } else { (newest, NEWEST) };
        self.line_up(pass, begin, None)?;
        self.embed(pass, begin.0)?;
        for layer in self.plan.prologue.clone() {
            self.layer(pass, layer, &self.state.rows.hidden, begin.0)?;
        }
        let mut done = 0;
        for (place, exit) in deferral.exits.iter().enumerate() {
            if deferral.again && place > 0 {
                self.line_up(pass, begin, Some(Control::READY))?;
            }
            self.rounds(pass, (Depth::Model, 0), done..exit.rounds, false, begin.0, &mut None)?;
            if deferral.again {
                self.line_up(pass, (newest, NEWEST), Some(Control::READY))?;
            }
            self.commit(pass, (deferral, exit), newest, place + 1 == deferral.exits.len())?;
            done = exit.rounds;
        }
        self.enter_block(pass, tick.order)?;
        let deeper = Batch { list: &lanes.entering, ..many };
        self.rounds(pass, (Depth::Model, 0), done..self.plan.n_rounds(), false, deeper, &mut None)
    }

    /// The end of rows that have run all layers: only the newest of a lane draws, the tokens of the others are told already.
    fn leave_deferring(
        &self,
        pass: &mut Pass<'_>,
        deferral: &Deferral,
        newest: Batch<'a>,
        older: Batch<'a>,
    ) -> Result<(), GpuError> {
        self.line_up(pass, (newest, NEWEST), Some(Control::IN_FLIGHT))?;
        if deferral.compares {
            self.line_up(pass, (older, OLDER), Some(Control::IN_FLIGHT))?;
        }
        self.draw(pass, (newest.list, newest.n_rows), true, &mut None)?;
        if deferral.compares {
            self.compare(pass, deferral, newest)?;
        }
        self.finish(pass, (newest.list, newest.n_rows))?;
        if deferral.compares {
            self.head(pass, &self.state.rows.logits, older)?;
            self.compare(pass, deferral, older)?;
        }
        Ok(())
    }

    /// Tells of the listed rows, whose logits are there, whether all layers say what the exit said.
    fn compare(&self, pass: &mut Pass<'_>, deferral: &Deferral, batch: Batch<'_>) -> Result<(), GpuError> {
        let (rows, lanes, rounds) = (&self.state.rows, &self.state.lanes, self.plan.n_rounds());
        self.sureness(pass, deferral, batch, (rounds, &deferral.whole))?;
        pass.run(&Agree {
            list: batch.list,
            rows: &rows.info,
            control: &lanes.control,
            best: &deferral.best,
            whole: &deferral.whole,
            scores: &rows.scores,
            events: &lanes.events,
            params: agree::Params {
                rounds,
                stride: event_words(rounds, self.state.sizes.room.alternatives),
                most: self.state.most_events(rounds),
                depth: deferral.exits[0].rounds,
            },
        })
    }

    fn sureness(
        &self,
        pass: &mut Pass<'_>,
        deferral: &Deferral,
        batch: Batch<'_>,
        (depth, best): (u32, &Buffer),
    ) -> Result<(), GpuError> {
        let (rows, vocabulary) = (&self.state.rows, self.config.vocab_size);
        let measure = match deferral.measure {
            Measure::Gap => sureness::TOP_TWO_GAP,
            Measure::LogLargest => sureness::LOG_LARGEST,
        };
        let params = sureness::Params { vocabulary, stride: vocabulary, rounds: self.plan.n_rounds(), depth, measure };
        let (logits, scores) = (&rows.logits, &rows.scores);
        pass.run(&Sureness { logits, list: batch.list, scores, best, n_rows: batch.n_rows, params })
    }

    /// Draws of the newest rows at an exit, and who tells its own.
    fn commit(
        &self,
        pass: &mut Pass<'_>,
        (deferral, exit): (&'a Deferral, &'a Exit),
        newest: Batch<'a>,
        last: bool,
    ) -> Result<(), GpuError> {
        let (rows, lanes, room) = (&self.state.rows, &self.state.lanes, self.state.sizes.room);
        let (rounds, vocabulary) = (self.plan.n_rounds(), self.config.vocab_size);
        self.read_out(pass, &exit.readout, &rows.hidden, vocabulary, newest)?;
        self.sureness(pass, deferral, newest, (exit.rounds, &deferral.best))?;
        self.sample(pass, (newest.list, newest.n_rows), vocabulary)?;
        self.alternatives(pass, (newest.list, newest.n_rows))?;
        let place = |list: &Buffer| (list.offset() / 4) as u32;
        pass.run(&Commit {
            lists: &self.state.lists,
            drawn: &rows.drawn,
            alternatives: room.alternatives,
            rows: &rows.info,
            scores: &rows.scores,
            control: &lanes.control,
            events: &lanes.events,
            waiting: &deferral.waiting,
            best: &deferral.best,
            params: commit::Params {
                rounds,
                stride: event_words(rounds, room.alternatives),
                most: self.state.most_events(rounds),
                list: place(newest.list),
                ends: place(&lanes.ends),
                depth: exit.rounds,
                most_rows: deferral.most_rows,
                equal: (deferral.measure == Measure::LogLargest).into(),
                last: last.into(),
            },
        })
    }

    /// Lists rows of lanes of a phase, or, where a pass begins, of all that can enter.
    fn line_up(
        &self,
        pass: &mut Pass<'_>,
        (batch, which): (Batch<'_>, u32),
        phase: Option<u32>,
    ) -> Result<(), GpuError> {
        let (lanes, room) = (&self.state.lanes, self.state.sizes.room);
        let params = line_up::Params {
            lanes: room.lanes,
            span: room.span,
            base: room.rows,
            which,
            phase: phase.unwrap_or(Control::READY),
            begins: phase.is_none().into(),
        };
        pass.run(&LineUp { control: &lanes.control, rows: &self.state.rows.info, list: batch.list, params })
    }
}
