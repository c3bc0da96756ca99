//! Guesses by a part of the network: its first rounds with the head behind them, or a jump over all of them.
//!
//! ```text
//! {state of the token before | none} -> {prologue and the first rounds | none} -> {readout} -> {the head's first rows} -> draw
//! ```
//!
//! Of several exits, a row that is not sure at one runs on to the next.
//!
//! One token after the other, each with the noise of its place. What the first layers of a plain stack leave (stream, keys and
//! values) is the model's own, and the check goes on from there. Where rounds share weights, or a gate decides, the check begins
//! anew, and what the guesses left in the counts of the cache is taken back.
//!
//! **Invariant:** as [`super`]'s.

use std::ops::Range;

use crate::error::GpuError;
use crate::gpu::{Buffer, Gpu, Pass};
use crate::kernels::drafts::carry::{self, Carry};
use crate::kernels::drafts::entropy::{self, Entropy};
use crate::kernels::drafts::follow::{self, Follow, REST};
use crate::kernels::drafts::join::{self, Join};
use crate::kernels::drafts::linger::{self, Linger};
use crate::kernels::drafts::propose::{self, Propose};
use crate::kernels::products::matrix::Matrix;
use crate::kernels::products::matvec;
use crate::runtime::draft::readout::Readout;
use crate::runtime::layer::Batch;
use crate::runtime::product::{Input, Target};
use crate::runtime::state::{Room, Sizes};
use crate::runtime::step::{Depth, Network};
use crate::runtime::tick::{Order, Tick};

/// A part of the network that guesses.
#[derive(Debug, Clone)]
pub struct Path {
    /// Where a guess comes from.
    pub from: Origin,
    /// Where the state is read, the shallowest first: whoever is not sure at one goes on to the next. A jump has one.
    pub exits: Vec<Exit>,
    /// Rows of the lanes that a step lists, `[count, rows...]`.
    pub list: Buffer,
    /// Rounds that rows of the lanes have run, to be guessed from, `[rows]`.
    pub reached: Buffer,
    /// Entries of each class before the guesses, `[lanes, classes]`.
    pub lengths: Buffer,
}

/// Where a guess comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The stream behind the prologue and some rounds.
    Rounds,
    /// The final state of the token before and the embedding, by one matrix.
    Jump(Box<Jump>),
}

/// Where a state is read.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Rounds that it has run.
    pub rounds: u32,
    /// From the state to what the head reads.
    pub readout: Readout,
    /// Rows of the head that are read: guesses are among the first so many tokens.
    pub head_rows: u32,
    /// What a guess must come up to.
    pub sure: Sure,
}

/// What a guess must come up to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sure {
    /// The natural logarithm of its probability.
    LogProbability(f32),
    /// Less the entropy of the probabilities that it was drawn from, in nats.
    NegativeEntropy(f32),
}

/// One matrix from where a token came from, and what it is, to where the next one comes from.
#[derive(Debug, Clone)]
pub struct Jump {
    /// `[hidden, 2 * padded(hidden)]`
    pub weight: Matrix,
    /// Final state that the next token of each lane came from, at the lane's first row, `[rows, padded(hidden)]`.
    pub states: Buffer,
    /// Final states that were guessed, `[rows, padded(hidden)]`.
    pub made: Buffer,
    /// `[rows, 2 * padded(hidden)]`
    pub joined: Buffer,
}

impl Path {
    /// Room for a path's lists.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], naming what did not fit.
    pub fn new(gpu: &Gpu, sizes: &Sizes, classes: u32, from: Origin, exits: Vec<Exit>) -> Result<Self, GpuError> {
        let room = sizes.room;
        Ok(Self {
            from,
            exits,
            list: gpu.buffer("rows that guess", u64::from(room.lane_rows() + 1) * 4)?,
            reached: gpu.buffer("rounds run before guesses", u64::from(room.rows + room.lane_rows()) * 4)?,
            lengths: gpu.buffer("cache lengths before guesses", u64::from(room.lanes * classes) * 4)?,
        })
    }

    /// Rounds that a row has run at the first exit, and at the last.
    fn ends(&self) -> [u32; 2] {
        [self.exits.first(), self.exits.last()].map(|exit| exit.map_or(0, |exit| exit.rounds))
    }
}

impl Jump {
    /// Room for a jump.
    ///
    /// # Errors
    /// As [`Path::new`].
    pub fn new(gpu: &Gpu, sizes: &Sizes, weight: Matrix) -> Result<Self, GpuError> {
        let rows = u64::from(sizes.room.rows + sizes.room.lane_rows());
        let part = |label, parts: u64| gpu.buffer(label, rows * u64::from(sizes.hidden) * 4 * parts);
        Ok(Self {
            weight,
            states: part("states", 1)?,
            made: part("guessed states", 1)?,
            joined: part("state and token", 2)?,
        })
    }
}

impl<'a> Network<'a> {
    /// Guesses by a path; rounds that all rows which enter have run behind it.
    pub(super) fn guess_by(
        &self,
        pass: &mut Pass<'_>,
        tick: &Tick,
        source: u32,
        path: &'a Path,
    ) -> Result<u32, GpuError> {
        if tick.guesses == 0 {
            return Ok(0);
        }
        let (lanes, room) = (&self.state.lanes, self.state.sizes.room);
        let goes_on = self.goes_on(tick);
        let counted = self.plan.compact() && matches!(path.from, Origin::Rounds);
        let bytes = lanes.lengths.bytes();
        if counted {
            pass.copy((&lanes.lengths, 0), (&path.lengths, 0), bytes);
        }
        let batch = Batch {
            list: &path.list,
            n_rows: self.recipe.rows(tick.lanes),
            longest: tick.longest,
            round: 0,
            base: room.rows,
            region: room.lane_rows(),
            decoding: true,
            mixed: None,
        };
        for step in 0..tick.guesses {
            self.follow(pass, path, source, step)?;
            let mut begins = 0;
            for exit in &path.exits {
                let mut running = batch;
                if begins > 0 {
                    // What a row attends to must have run as far as it has.
                    self.linger(pass, path, source, step, ([begins, exit.rounds], true))?;
                    running = Batch { n_rows: self.recipe.rows(tick.lanes * (1 + step)), decoding: false, ..batch };
                }
                self.states(pass, path, begins..exit.rounds, running, goes_on)?;
                if begins > 0 {
                    self.linger(pass, path, source, step, ([exit.rounds; 2], false))?;
                }
                self.propose(pass, path, exit, batch)?;
                begins = exit.rounds;
            }
        }
        if counted {
            pass.copy((&path.lengths, 0), (&lanes.lengths, 0), bytes);
        }
        if !goes_on || matches!(path.from, Origin::Jump(_)) {
            return Ok(0);
        }
        self.level(
            pass,
            path,
            source,
            Batch { n_rows: self.recipe.rows(tick.lanes * (1 + tick.guesses)), decoding: false, ..batch },
        )
    }

    /// Brings all rows in use to where the last exit is, so that the check goes on from there; returns its rounds.
    fn level(&self, pass: &mut Pass<'_>, path: &Path, source: u32, batch: Batch<'a>) -> Result<u32, GpuError> {
        let [first, last] = path.ends();
        self.follow(pass, path, source, REST)?;
        self.shallow(pass, 0..first, batch)?;
        for pair in path.exits.windows(2) {
            let [begins, reaches] = [pair[0].rounds, pair[1].rounds];
            self.linger(pass, path, source, REST, ([begins, reaches], false))?;
            self.shallow(pass, begins..reaches, batch)?;
        }
        Ok(last)
    }

    /// Whether a check can go on where guesses stopped: nothing that was left out has been decided on, or counted.
    fn goes_on(&self, tick: &Tick) -> bool {
        self.plan.is_plain() && !tick.ragged && tick.order == Order::Waves && self.gate(Depth::Model).is_none()
    }

    fn follow(&self, pass: &mut Pass<'_>, path: &Path, source: u32, step: u32) -> Result<(), GpuError> {
        let (rows, lanes, room) = (&self.state.rows, &self.state.lanes, self.state.sizes.room);
        let gated = self.gate(Depth::Model).is_some();
        pass.run(&Follow {
            control: &lanes.control,
            rows: &rows.info,
            granted: &rows.granted,
            list: &path.list,
            reached: &path.reached,
            params: follow::Params {
                lanes: room.lanes,
                span: room.span,
                base: room.rows,
                step,
                granted: if gated { 0 } else { self.plan.n_rounds() },
                source,
                reaches: path.ends()[0],
            },
        })
    }

    fn linger(
        &self,
        pass: &mut Pass<'_>,
        path: &Path,
        source: u32,
        step: u32,
        ([begins, reaches], earlier): ([u32; 2], bool),
    ) -> Result<(), GpuError> {
        let Room { lanes, span, rows: base, .. } = self.state.sizes.room;
        pass.run(&Linger {
            control: &self.state.lanes.control,
            reached: &path.reached,
            list: &path.list,
            params: linger::Params { lanes, span, base, step, source, begins, reaches, earlier: earlier.into() },
        })
    }

    /// What the head reads of the listed rows is made.
    fn states(
        &self,
        pass: &mut Pass<'_>,
        path: &'a Path,
        rounds: Range<u32>,
        batch: Batch<'a>,
        goes_on: bool,
    ) -> Result<(), GpuError> {
        match &path.from {
            Origin::Rounds => {
                self.shallow(pass, rounds, batch)?;
                if goes_on {
                    return Ok(());
                }
                for layer in self.plan.epilogue.clone() {
                    self.layer(pass, layer, &self.state.rows.hidden, batch)?;
                }
                Ok(())
            }
            Origin::Jump(jump) => self.jump(pass, jump, batch),
        }
    }

    /// Rounds, behind the prologue where they are the first.
    fn shallow(&self, pass: &mut Pass<'_>, rounds: Range<u32>, batch: Batch<'a>) -> Result<(), GpuError> {
        if rounds.start == 0 {
            self.embed(pass, batch)?;
            for layer in self.plan.prologue.clone() {
                self.layer(pass, layer, &self.state.rows.hidden, batch)?;
            }
        }
        self.rounds(pass, (Depth::Model, 0), rounds, false, batch, &mut None)
    }

    fn jump(&self, pass: &mut Pass<'_>, jump: &Jump, batch: Batch<'_>) -> Result<(), GpuError> {
        let sizes = &self.state.sizes;
        self.embed(pass, batch)?;
        pass.run(&Join {
            list: batch.list,
            states: &jump.states,
            made: &jump.made,
            hidden: &self.state.rows.hidden,
            joined: &jump.joined,
            n_rows: batch.n_rows,
            params: join::Params { base: sizes.room.rows, span: sizes.room.span, stride: sizes.hidden / 4 },
        })?;
        let target = Target { buffer: &jump.made, stride: sizes.hidden, mode: matvec::WRITE };
        self.product(pass, &jump.weight, self.config.hidden_size, Input::Rows(&jump.joined), batch, target)
    }

    /// Readout, head and draw of the listed rows, as guesses.
    fn propose(&self, pass: &mut Pass<'_>, path: &Path, exit: &Exit, batch: Batch<'_>) -> Result<(), GpuError> {
        let (rows, lanes, room) = (&self.state.rows, &self.state.lanes, self.state.sizes.room);
        let state = match &path.from {
            Origin::Rounds => &rows.hidden,
            Origin::Jump(jump) => &jump.made,
        };
        self.read_out(pass, &exit.readout, state, exit.head_rows, batch)?;
        self.sample(pass, (batch.list, batch.n_rows), exit.head_rows)?;
        let least_sureness = match exit.sure {
            Sure::LogProbability(least) => least,
            Sure::NegativeEntropy(least) => {
                pass.run(&Entropy {
                    list: batch.list,
                    logits: &rows.logits,
                    drawn: &rows.drawn,
                    alternatives: room.alternatives,
                    n_rows: batch.n_rows,
                    params: entropy::Params { vocabulary: exit.head_rows, stride: exit.head_rows },
                })?;
                least
            }
        };
        let (base, span, least_sureness) = (room.rows, room.span, least_sureness.max(-1e30));
        pass.run(&Propose {
            list: batch.list,
            drawn: &rows.drawn,
            alternatives: room.alternatives,
            control: &lanes.control,
            tokens: &rows.tokens,
            n_rows: batch.n_rows,
            params: propose::Params { base, span, least_sureness },
        })
    }

    /// Carries final states of the rows of a list to where a jump begins, if there is one.
    pub(in crate::runtime) fn carry(&self, pass: &mut Pass<'_>, of: (&Buffer, u32)) -> Result<(), GpuError> {
        let (list, n_rows) = of;
        let sizes = &self.state.sizes;
        for drafter in &self.state.drafters {
            let super::Drafter::Path(path) = drafter else { continue };
            let Origin::Jump(jump) = &path.from else { continue };
            pass.run(&Carry {
                list,
                rows: &self.state.rows.info,
                control: &self.state.lanes.control,
                normed: &self.state.rows.normed.rows,
                states: &jump.states,
                n_rows,
                params: carry::Params { base: sizes.room.rows, span: sizes.room.span, stride: sizes.hidden / 4 },
            })?;
        }
        Ok(())
    }
}
