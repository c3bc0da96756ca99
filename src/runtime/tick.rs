//! One tick: the fixed list of dispatches that moves every live lane on, without a word from the host.
//!
//! ```text
//! gate      lanes between two rounds: is another round granted?
//! leave     whoever has run all rounds: epilogue, head, draw; an event; the lane is free, or its next token is ready
//! draft     what may follow is guessed, where there is a drafter
//! enter     ready lanes, and guesses behind their next token: embed, prologue, gate
//! round     mixed: ONE round over all live lanes, each at its own
//!           waves: all rounds, each over the rows that remain
//! ```
//!
//! A lane whose token stops is filled within the same tick, so a mixed round is always full. The tick after a wave
//! makes its tokens leave.
//!
//! **Invariant:** a row's numbers are those of [`Network::step`], to the bit, whatever the order and the company.

use crate::error::GpuError;
use crate::gpu::{Buffer, Pass};
use crate::kernels::exits::enter::{self, Enter};
use crate::kernels::exits::finish::{self, Finish, event_words};
use crate::kernels::exits::leave::{self, Leave};
use crate::kernels::rows::combine;
use crate::network::gate::Moment;
use crate::network::plan::Residual;
use crate::runtime::gates::Question;
use crate::runtime::layer::Batch;
use crate::runtime::lists::list_words;
use crate::runtime::step::{Depth, Network};

/// In which order rounds are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// All lanes run the first round, those that remain the second, and so on: for rounds of distinct weights, and for few lanes.
    Waves,
    /// Lanes at different rounds share one pass through the shared weights, and places are filled at once.
    Mixed,
}

/// What the host knows of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Order of the rounds.
    pub order: Order,
    /// Most lanes that take part.
    pub lanes: u32,
    /// Most entries that a lane can see.
    pub longest: u32,
    /// A lane may have been told to run less than all rounds.
    pub ragged: bool,
    /// Most guesses behind a lane's next token.
    pub guesses: u32,
    /// The same of the tick before, whose rows leave in this one.
    pub guesses_before: u32,
}

/// What a tick asks of lanes: each row by itself.
const ONE_BY_ONE: Question = Question { depth: Depth::Model, competitors: 0, first: false };

impl<'a> Network<'a> {
    /// Records one tick.
    ///
    /// # Errors
    /// [`GpuError::Pipeline`] where the device refuses a kernel.
    pub fn tick(&self, pass: &mut Pass<'_>, tick: &Tick) -> Result<(), GpuError> {
        if let Some(deferral) = &self.state.deferral {
            return self.tick_deferring(pass, tick, deferral);
        }
        let (lanes, room) = (&self.state.lanes, self.state.sizes.room);
        let all = Batch {
            list: &lanes.live,
            n_rows: self.recipe.rows(tick.lanes * (1 + tick.guesses)),
            longest: tick.longest,
            round: 0,
            base: room.rows,
            region: room.lane_rows(),
            // Rows of a span share their keys.
            decoding: tick.guesses.max(tick.guesses_before) == 0,
            mixed: None,
        };
        let entering = Batch { list: &lanes.entering, ..all };
        let before = self.recipe.rows(tick.lanes * (1 + tick.guesses_before));
        self.leave_block(pass, tick, Batch { n_rows: before, ..all })?;
        let done = self.draft(pass, tick)?;
        self.enter_block(pass, tick.order)?;
        if done == 0 {
            self.embed(pass, entering)?;
            for layer in self.plan.prologue.clone() {
                self.layer(pass, layer, &self.state.rows.hidden, entering)?;
            }
        }
        match tick.order {
            Order::Mixed => self.mixed_round(pass, all),
            Order::Waves => {
                let rest = done..self.plan.n_rounds();
                self.rounds(pass, (Depth::Model, 0), rest, tick.ragged, entering, &mut None)
            }
        }
    }

    /// The end of all rows that have run their rounds.
    fn leave_block(&self, pass: &mut Pass<'_>, tick: &Tick, all: Batch<'a>) -> Result<(), GpuError> {
        let (rows, lanes, room) = (&self.state.rows, &self.state.lanes, self.state.sizes.room);
        let mixed = tick.order == Order::Mixed;
        let gate = self.gate(Depth::Model).filter(|gate| mixed && gate.moment == Moment::EachRound);
        if let Some(gate) = gate {
            // `live` is the list of the tick before, when more lanes may have taken part.
            let before = Batch { n_rows: self.recipe.rows(room.lane_rows()), ..all };
            self.ask(pass, gate, ONE_BY_ONE, before)?;
        }
        pass.run(&Leave {
            control: &lanes.control,
            rows: &rows.info,
            granted: &rows.granted,
            leaving: &lanes.leaving,
            params: leave::Params { lanes: room.lanes, span: room.span, base: all.base, everyone: (!mixed).into() },
        })?;
        let leaving = Batch { list: &lanes.leaving, ..all };
        if mixed && matches!(self.plan.residual, Residual::Add { once: true, .. }) {
            self.add_to_stream(pass, leaving)?;
        }
        for layer in self.plan.epilogue.clone() {
            self.layer(pass, layer, &rows.hidden, leaving)?;
        }
        self.draw(pass, (&lanes.leaving, all.n_rows), true, &mut None)?;
        self.finish(pass, (&lanes.leaving, all.n_rows))
    }

    /// Tells of the tokens drawn for the rows of a list, which holds at most so many and is a part of [`State::lists`](crate::runtime::state::State).
    ///
    /// # Errors
    /// As [`Network::tick`].
    pub fn finish(&self, pass: &mut Pass<'_>, (list, n_rows): (&Buffer, u32)) -> Result<(), GpuError> {
        let (rows, lanes, rounds) = (&self.state.rows, &self.state.lanes, self.plan.n_rounds());
        let room = self.state.sizes.room;
        let stride = event_words(rounds, room.alternatives);
        let place = |list: &Buffer| (list.offset() / 4) as u32;
        pass.run(&Finish {
            lists: &self.state.lists,
            drawn: &rows.drawn,
            alternatives: room.alternatives,
            rows: &rows.info,
            granted: &rows.granted,
            scores: &rows.scores,
            control: &lanes.control,
            events: &lanes.events,
            tokens: &rows.tokens,
            params: finish::Params {
                rounds,
                stride,
                most: self.state.most_events(rounds),
                list: place(list),
                ends: place(&lanes.ends),
                base: room.rows,
                span: room.span,
            },
        })?;
        self.carry(pass, (list, n_rows))
    }

    pub(super) fn enter_block(&self, pass: &mut Pass<'_>, order: Order) -> Result<(), GpuError> {
        let (rows, lanes, room) = (&self.state.rows, &self.state.lanes, self.state.sizes.room);
        let first = &self.plan.layers[self.plan.rounds[0].layers.start].cache;
        pass.run(&Enter {
            control: &lanes.control,
            rows: &rows.info,
            granted: &rows.granted,
            lengths: &lanes.lengths,
            reach: &lanes.reach,
            given: &lanes.given,
            lists: &self.state.lists,
            params: enter::Params {
                lanes: room.lanes,
                span: room.span,
                base: room.rows,
                classes: self.plan.classes,
                class_base: first.class_base,
                class_step: first.class_step,
                context: room.context,
                granted: match (self.gate(Depth::Model), self.leaves(Depth::Model)) {
                    (Some(_), _) => 0,
                    (None, Some(leave)) => leave.exit.next(0, self.plan.n_rounds()),
                    (None, None) => self.plan.n_rounds(),
                },
                mixed: (order == Order::Mixed).into(),
                list: list_words(&room),
            },
        })
    }

    /// One round over all live lanes.
    fn mixed_round(&self, pass: &mut Pass<'_>, all: Batch<'a>) -> Result<(), GpuError> {
        let (rows, lanes) = (&self.state.rows, &self.state.lanes);
        let live = Batch { mixed: Some((&lanes.entering, &lanes.deeper)), ..all };
        let entering = Batch { list: &lanes.entering, ..all };
        if let Some(gate) = self.gate(Depth::Model) {
            self.ask(pass, gate, Question { first: true, ..ONE_BY_ONE }, entering)?;
        }
        if let Residual::Add { once, .. } = self.plan.residual {
            self.combine(pass, combine::COPY, &rows.hidden, &rows.work, if once { entering } else { live })?;
        }
        self.round(pass, 0, live, &mut None)?;
        match self.plan.residual {
            Residual::Add { once: false, .. } => self.add_to_stream(pass, live),
            Residual::Replace | Residual::Add { once: true, .. } => Ok(()),
        }
    }
}
