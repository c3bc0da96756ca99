//! Deeper layers put off while a text is written: how, and what came of it.
//!
//! Texts change, so nothing is put off unless a caller asks for it. What a sequence writes depends on itself and its threshold alone, in
//! any company, and where it had to leave its lane and was read again.

mod way;

use super::drafters::{ReadoutSource, fits};
use super::lane::Active;
use super::request::Request;
use super::{Engine, EngineOptions, MAX_DEFERRED, MAX_GUESSES, SequenceId};
use crate::depth::beta::Fit;
use crate::error::{Error, RequestError};
use crate::kernels::deferring::commit::Waiting;
use crate::kernels::exits::finish::LaneEvent;
use crate::runtime::deferral::{Deferral, Exit, Measure};
use crate::runtime::draft::readout::Readout;
use crate::runtime::lane::LaneDepth;
use crate::runtime::tick::Order;
use crate::runtime::upload::exact_matrix_of;
use crate::runtime::weights::Bank;
pub use way::{Deferring, Logged};

/// What came of layers that were put off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct DeferringCounts {
    /// Tokens that first layers told.
    pub early: u64,
    /// Passes of all layers.
    pub whole: u64,
    /// Rows in those.
    pub rows: u64,
}

/// No fits beyond so many.
const MOST_FITS: u32 = 300;

/// How layers are put off, and what is known.
#[derive(Debug, Default)]
pub(super) struct Postponed {
    how: Option<Deferring>,
    /// Rounds before each exit.
    exits: Vec<u32>,
    /// Of the next sequence.
    threshold: f32,
    /// How sure first layers were, and whether all layers agreed.
    history: Vec<(f32, bool)>,
    fits: u32,
    pub counts: DeferringCounts,
}

impl EngineOptions {
    /// Rows of a lane.
    pub(super) fn span(&self) -> u32 {
        1 + self.guesses.min(MAX_GUESSES).max(self.deferred.min(MAX_DEFERRED))
    }
}

impl Postponed {
    pub fn is_on(&self) -> bool {
        self.how.is_some()
    }

    /// How deep a lane's tokens go, where that is fixed.
    pub fn lane_depth<'a>(&self, own: LaneDepth<'a>) -> LaneDepth<'a> {
        match (&self.how, own) {
            (Some(Deferring::First { rounds }), LaneDepth::Gate) => LaneDepth::Fixed(*rounds),
            _ => own,
        }
    }

    /// The threshold of a sequence that begins.
    fn next_threshold(&mut self) -> f32 {
        let fitted = self.how.as_ref().is_some_and(|how| how.logged().is_some());
        if fitted && !self.history.is_empty() && self.fits < MOST_FITS {
            self.fits += 1;
            if let Some(fit) = Fit::of(&self.history) {
                self.threshold = fit.threshold() as f32;
            }
        }
        self.threshold
    }

    /// Takes in what passes of all layers told of the first ones.
    pub fn learn(&mut self, drawn: &[LaneEvent]) {
        let Some(logged) = self.how.as_ref().and_then(Deferring::logged) else { return };
        let compared = drawn.iter().filter(|event| event.compared && (event.rows > 1 || logged == Logged::All));
        for event in compared {
            let Some(guess) = event.guess else { continue };
            self.history.push((event.scores[event.depth as usize - 1], guess == event.token));
        }
    }

    /// Takes in a token that is about to be told.
    pub fn count(&mut self, drawn: &LaneEvent, rounds: u32, active: &mut Active) {
        // The first one is the prompt's, untested.
        if !self.is_on() || active.written == 0 {
            return;
        }
        if drawn.depth < rounds {
            self.counts.early += 1;
            active.waiting += 1;
        } else {
            self.counts.whole += 1;
            self.counts.rows += u64::from(drawn.rows);
            active.waiting = 0;
        }
    }

    /// How sure the exits were that a token came by, the first of which has number 1; none where nobody asks.
    pub fn scores(&self, drawn: &LaneEvent, number: u32) -> Option<Vec<f32>> {
        if self.how.as_ref().is_none_or(|how| matches!(how, Deferring::First { .. })) {
            return None;
        }
        let asked = self.exits.iter().filter(|exit| number > 1 && **exit <= drawn.depth);
        Some(asked.map(|exit| drawn.scores[*exit as usize - 1]).collect())
    }
}

impl Engine {
    /// How deeper layers are put off.
    pub fn deferring(&self) -> Option<&Deferring> {
        self.deferring.how.as_ref()
    }

    /// What came of layers that were put off.
    pub fn deferring_counts(&self) -> DeferringCounts {
        self.deferring.counts
    }

    /// Where the threshold is fitted: how sure first layers were in passes of all layers, and whether these agreed; and the
    /// threshold of the last sequence that began.
    pub fn deferring_history(&self) -> (&[(f32, bool)], f32) {
        (&self.deferring.history, self.deferring.threshold)
    }

    /// Puts deeper layers off from now on, in place of any other way to leave early, or no longer. Texts change. What a threshold
    /// was fitted to is forgotten.
    ///
    /// # Errors
    /// Sequences under way; a model that is no plain stack, or has a gate; guesses that are checked; layers that are not the model's,
    /// a threshold out of range, more rows than there is room for ([`EngineOptions::deferred`](super::EngineOptions::deferred)); or
    /// no room on the GPU.
    pub async fn set_deferring(&mut self, how: Option<&Deferring>) -> Result<(), Error> {
        if !self.is_idle() {
            return Err(RequestError::Busy.into());
        }
        let deferral = how.map(|how| self.deferral(how)).transpose()?.flatten();
        for ahead in std::mem::take(&mut self.in_flight) {
            let _: Vec<u32> = self.gpu.finish(ahead.pending).await?;
            self.scheduler.report(ahead.number, &[]);
        }
        self.state.defer(&self.gpu, &self.plan, deferral)?;
        self.gpu.check().await?;
        if how.is_some() {
            self.stay();
        }
        self.scheduler.set_deferring(how.is_some());
        self.deferring = Postponed {
            how: how.cloned(),
            exits: how.map(Deferring::rounds).unwrap_or_default(),
            threshold: how.map(Deferring::threshold).unwrap_or_default(),
            counts: self.deferring.counts,
            ..Postponed::default()
        };
        Ok(())
    }

    /// Refuses a request that says how deep its tokens go, and leaves no word to the exits.
    pub(super) fn leaves_depth(&self, request: &Request) -> Result<(), RequestError> {
        if self.deferring.is_on() && (request.depth.is_some() || self.depths.is_some()) {
            let value = request.depth.map_or("given".to_owned(), |depth| depth.to_string());
            let range = "left to the exits while layers are put off".into();
            return Err(RequestError::Setting { name: "depth", value, range });
        }
        Ok(())
    }

    fn deferral(&self, how: &Deferring) -> Result<Option<Deferral>, Error> {
        let setting = |name, value: &str, range: &str| {
            Error::from(RequestError::Setting { name, value: value.into(), range: range.into() })
        };
        if !Deferral::fits(&self.plan) || self.gate().is_some() || self.order == Order::Mixed {
            return Err(setting(
                "exit",
                "layers put off",
                "left alone: this model is no plain stack of layers without a gate",
            ));
        }
        if !self.state.drafters.is_empty() || self.depths.is_some() {
            return Err(setting("exit", "layers put off", "left alone while guesses are checked, or depths are given"));
        }
        let room = self.state.sizes.room.span - 1;
        how.check(self.plan.n_rounds(), room)?;
        let (exits, measure) = match how {
            Deferring::First { .. } => return Ok(None),
            Deferring::Once { rounds, .. } => {
                (vec![Exit { rounds: *rounds, readout: Readout::FinalNorm }], Measure::Gap)
            }
            Deferring::Several { exits, .. } => {
                let exit = |(rounds, source): &(u32, ReadoutSource)| match self.exact_readout(source)? {
                    (readout, known) if known == self.config.vocab_size => Ok(Exit { rounds: *rounds, readout }),
                    (_, known) => {
                        Err(setting("head of an exit", &format!("{known} tokens"), "one of the whole vocabulary"))
                    }
                };
                (exits.iter().map(exit).collect::<Result<Vec<_>, Error>>()?, Measure::LogLargest)
            }
        };
        let mut deferral = Deferral::new(&self.gpu, &self.state.sizes, exits, measure)?;
        deferral.again = measure == Measure::LogLargest;
        deferral.most_rows = 1 + how.most().unwrap_or(room);
        deferral.compares = how.logged().is_some();
        Ok(Some(deferral))
    }

    /// As [`Engine::readout`], with heads of their own to the last bit: what they say is not checked.
    fn exact_readout(&self, source: &ReadoutSource) -> Result<(Readout, u32), Error> {
        let ReadoutSource::Head { norm, weight } = source else { return self.readout(source) };
        let (hidden, rows) = (self.config.hidden_size as usize, self.config.vocab_size);
        fits("norm of an exit's head", norm, hidden)?;
        fits("head of an exit", weight, rows as usize * hidden)?;
        let norm = Bank { buffer: self.padded_vector(norm)?, stride: 0 };
        let weight = exact_matrix_of(&self.gpu, "head of an exit", weight, hidden)?;
        Ok((Readout::Head { norm, weight }, rows))
    }

    /// Tells a lane what its sequence's first layers are asked for.
    pub(super) fn ask_lane(&mut self, lane: u32, id: SequenceId) {
        let Some(active) = self.active.get_mut(&id).filter(|_| self.deferring.is_on()) else { return };
        let threshold = match active.threshold {
            Some(threshold) => threshold,
            None => self.deferring.next_threshold(),
        };
        active.threshold = Some(threshold);
        self.state.ask_lane(&self.gpu, lane, Waiting { threshold, counted: active.waiting });
    }
}
