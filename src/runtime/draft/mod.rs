//! Guesses of what follows a lane's next token, made before the whole network runs, and checked by it.
//!
//! A guess is right where it is what the whole network draws in its place, with the same noise: so the text is, to the bit,
//! the text without guesses, drawn greedily or by chance. Guesses stand as rows behind their lane's next token, the network
//! runs over all of them as over a chunk of a prompt, and `finish` keeps those before the first that is wrong.
//!
//! **Invariant:** who guesses changes how many tokens a tick writes, never which.

pub mod path;
pub mod readout;

use crate::error::GpuError;
use crate::gpu::{Buffer, Pass};
use crate::kernels::drafts::keep::{self, Keep};
use crate::kernels::drafts::lookup::{self, Lookup};
use crate::kernels::drafts::recall::{self, Recall};
use crate::runtime::draft::path::Path;
use crate::runtime::step::Network;
use crate::runtime::tick::Tick;

/// Who guesses.
#[derive(Debug, Clone)]
pub enum Drafter {
    /// The text itself: what followed its last tokens where they stood before.
    Lookup {
        /// Tokens that must match.
        least: u32,
        /// Tokens beyond which a match is not longer.
        longest: u32,
    },
    /// A given text, right as often as is wanted.
    Recall {
        /// The text to come by position, `[lanes, context]`.
        script: Buffer,
        /// Chance of a right guess, in 2^32; `u32::MAX` is always.
        chance: u32,
        /// Of the chance.
        seed: u32,
    },
    /// A part of the network, token by token.
    Path(Box<Path>),
}

impl Network<'_> {
    /// Leaves what was refused, and guesses what comes next. Rounds that all rows which enter have run by then.
    pub(super) fn draft(&self, pass: &mut Pass<'_>, tick: &Tick) -> Result<u32, GpuError> {
        if self.state.sizes.room.span == 1 {
            return Ok(0);
        }
        self.keep(pass)?;
        let mut done = 0;
        for (source, drafter) in (0..).zip(&self.state.drafters) {
            match drafter {
                Drafter::Lookup { least, longest } => self.look_up(pass, tick, source, [*least, *longest])?,
                Drafter::Recall { script, chance, seed } => {
                    self.recall(pass, tick, source, script, [*chance, *seed])?
                }
                Drafter::Path(path) => done = self.guess_by(pass, tick, source, path)?,
            }
        }
        Ok(done)
    }

    fn keep(&self, pass: &mut Pass<'_>) -> Result<(), GpuError> {
        let (rows, lanes, room) = (&self.state.rows, &self.state.lanes, self.state.sizes.room);
        let first = &self.plan.layers[self.plan.rounds[0].layers.start].cache;
        pass.run(&Keep {
            control: &lanes.control,
            granted: &rows.granted,
            tokens: &rows.tokens,
            seen: &lanes.seen,
            lengths: &lanes.lengths,
            params: keep::Params {
                lanes: room.lanes,
                span: room.span,
                base: room.rows,
                seen_stride: self.state.sizes.seen,
                classes: self.plan.classes,
                class_base: first.class_base,
                class_step: first.class_step,
                rounds: if self.plan.compact() { self.plan.n_rounds() } else { 0 },
            },
        })
    }

    fn look_up(
        &self,
        pass: &mut Pass<'_>,
        tick: &Tick,
        source: u32,
        [least, longest]: [u32; 2],
    ) -> Result<(), GpuError> {
        let (tokens, lanes, room) = (&self.state.rows.tokens, &self.state.lanes, self.state.sizes.room);
        pass.run(&Lookup {
            control: &lanes.control,
            history: &lanes.history,
            tokens,
            params: lookup::Params {
                lanes: room.lanes,
                span: room.span,
                base: room.rows,
                context: room.context,
                least,
                longest,
                most: tick.guesses,
                source,
            },
        })
    }

    fn recall(
        &self,
        pass: &mut Pass<'_>,
        tick: &Tick,
        source: u32,
        script: &Buffer,
        [chance, seed]: [u32; 2],
    ) -> Result<(), GpuError> {
        let (tokens, lanes, room) = (&self.state.rows.tokens, &self.state.lanes, self.state.sizes.room);
        pass.run(&Recall {
            control: &lanes.control,
            script,
            tokens,
            params: recall::Params {
                lanes: room.lanes,
                span: room.span,
                base: room.rows,
                context: room.context,
                vocabulary: self.config.vocab_size,
                chance,
                seed,
                most: tick.guesses,
                source,
            },
        })
    }
}
