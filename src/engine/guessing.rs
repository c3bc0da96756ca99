//! When guesses are checked, and how many behind each token.
//!
//! A check of `k` guesses costs a pass over `1 + k` rows of each lane, and is worth the guesses that are right. How many that will be
//! is estimated from those before, how much dearer the pass is from the time between ticks. Guesses that cost nothing to make are
//! made and compared in every tick, so it is known what checking them would have brought even where nothing is checked.
//!
//! **Invariant:** this decides how many guesses are checked, never what is written.

use super::Engine;
use super::event::{Guess, Guesser};
use crate::error::{Error, RequestError};
use crate::kernels::MAX_GUESSES;
use crate::kernels::exits::finish::LaneEvent;
use crate::runtime::draft::Drafter;
use crate::runtime::draft::path::{Jump, Origin, Path, Readout};
use crate::runtime::upload::matrix_of;
use crate::runtime::weights::Bank;
use crate::text::Tokenizer;

/// Who guesses, as a caller chooses.
#[derive(Debug, Clone, PartialEq)]
pub enum DraftSource {
    /// The text itself: what followed its last tokens where they stood before, for matches from `least` to `longest` tokens.
    Lookup {
        /// Tokens that must match.
        least: u32,
        /// Tokens beyond which a match is not longer.
        longest: u32,
    },
    /// Texts that are given, for measurements: of each lane, by position.
    Recall {
        /// Texts to come.
        scripts: Vec<Vec<u32>>,
        /// Share of guesses that are right, 0 to 1.
        right: f32,
        /// Of the chance.
        seed: u32,
    },
    /// A part of the network.
    Path(PathSource),
}

/// A part of the network that guesses, as a caller describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct PathSource {
    /// From where.
    pub from: PathOrigin,
    /// Guesses are among the first so many tokens, as most are where tokens stand in the order of their frequency; none: all.
    pub head_rows: Option<u32>,
    /// A sequence guesses no further behind a guess that is less probable, 0 to 1.
    pub least_probability: f32,
}

/// Where a guess comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum PathOrigin {
    /// The model's own rounds, so many of them (layers of a plain stack), and what makes a final state of theirs.
    Rounds {
        /// How many.
        rounds: u32,
        /// What the head reads.
        readout: ReadoutSource,
    },
    /// One matrix, `[hidden, 2 * hidden]` row by row, with a bias: from the final state of the token before, behind its norm, and
    /// the embedding, to the final state behind its norm.
    Jump {
        /// The matrix.
        weight: Vec<f32>,
        /// `[hidden]`
        bias: Vec<f32>,
    },
}

/// What makes a final state.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadoutSource {
    /// The model's own final norm.
    Model,
    /// A norm of `[hidden]` and a matrix of `[hidden, hidden]` with a bias.
    Linear {
        /// The norm's weight.
        norm: Vec<f32>,
        /// The matrix.
        weight: Vec<f32>,
        /// `[hidden]`
        bias: Vec<f32>,
    },
    /// A norm of `[hidden]` and a head of its own, `[rows, hidden]`: the logits of the first so many tokens.
    Head {
        /// The norm's weight.
        norm: Vec<f32>,
        /// The head.
        weight: Vec<f32>,
    },
}

impl PathSource {
    /// The model's own first rounds, read by its own head.
    pub fn rounds(rounds: u32) -> Self {
        let from = PathOrigin::Rounds { rounds, readout: ReadoutSource::Model };
        Self { from, head_rows: None, least_probability: 0.0 }
    }
}

impl DraftSource {
    /// Lookup with the matches that `auto` asks for.
    pub const LOOKUP: Self = Self::Lookup { least: 3, longest: 8 };

    fn by(&self) -> Guesser {
        match self {
            Self::Lookup { .. } => Guesser::Lookup,
            Self::Recall { .. } => Guesser::Recall,
            Self::Path(PathSource { from: PathOrigin::Rounds { .. }, .. }) => Guesser::Rounds,
            Self::Path(PathSource { from: PathOrigin::Jump { .. }, .. }) => Guesser::Jump,
        }
    }
}

/// How many guesses are checked behind each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guesses {
    /// Always so many, where there are as many.
    Fixed(u32),
    /// As many as pay, as far as is known; none where none do.
    Auto,
}

/// Numbers of guesses that are tried, in ascending order: with the next token they fill rows of a power of two.
const TRIED: [u32; 4] = [0, 1, 3, 7];

/// A pass over so many rows is thought to cost 1.5 times that over one, until it is measured.
const ROWS: f64 = 8.0;

/// Share of an estimate that a new number replaces.
const LEARNT: f64 = 1.0 / 16.0;

/// Better by so much, or nothing is changed: estimates are noisy.
const WORTH: f64 = 1.06;

/// Estimates, and what was chosen. Plain numbers.
#[derive(Debug, Clone)]
pub(super) struct Guessing {
    by: Vec<Guesser>,
    guesses: Guesses,
    most: u32,
    /// Share of tokens in whose place something was guessed.
    found: f64,
    /// Share of guesses that were right, where those before them were: first, second...
    right: [f64; MAX_GUESSES as usize],
    /// Time between ticks with each number of [`TRIED`], of `lanes` lanes; 0 is not known.
    times: [f64; TRIED.len()],
    lanes: u32,
    last: Option<(u64, u32)>,
    /// What is told.
    pub counts: Counts,
}

/// What came of guesses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Passes of the whole network that wrote a lane's tokens.
    pub checks: u64,
    /// Those of them that checked guesses.
    pub guessed_checks: u64,
    /// Guesses that were checked.
    pub checked: u64,
    /// Those that were right, so that each saved a pass.
    pub accepted: u64,
}

impl Default for Guessing {
    fn default() -> Self {
        Self {
            by: vec![],
            guesses: Guesses::Fixed(0),
            most: 0,
            found: 0.0,
            right: [0.5; MAX_GUESSES as usize],
            times: [0.0; TRIED.len()],
            lanes: 0,
            last: None,
            counts: Counts::default(),
        }
    }
}

fn learn(estimate: &mut f64, new: f64) {
    *estimate += (new - *estimate) * LEARNT;
}

impl Guessing {
    /// Guesses to be checked in the next tick, behind the next token of each of so many lanes.
    pub fn choose(&mut self, lanes: u32) -> u32 {
        match (self.by.is_empty(), self.guesses) {
            (true, _) => 0,
            (_, Guesses::Fixed(guesses)) => guesses.min(self.most),
            (_, Guesses::Auto) => {
                if lanes != self.lanes {
                    (self.lanes, self.times) = (lanes, [0.0; TRIED.len()]);
                }
                self.best(lanes)
            }
        }
    }

    /// The number of guesses with the most tokens for the time.
    fn best(&self, lanes: u32) -> u32 {
        let rate = |(place, &guesses): (usize, &u32)| (self.tokens(guesses) / self.cost(place, lanes), guesses);
        let rates = TRIED.iter().enumerate().filter(|(_, guesses)| **guesses <= self.most).map(rate);
        let (rate, guesses) = rates.fold((0.0, 0), |best, other| if other.0 > best.0 { other } else { best });
        if rate > WORTH { guesses } else { 0 }
    }

    /// Tokens that a pass with so many guesses is expected to write.
    fn tokens(&self, guesses: u32) -> f64 {
        let mut all = 1.0;
        let mut chance = self.found;
        for right in self.right.iter().take(guesses as usize) {
            chance *= right;
            all += chance;
        }
        all
    }

    /// What it costs, in passes without guesses.
    fn cost(&self, place: usize, lanes: u32) -> f64 {
        let rows = |guesses: u32| 1.0 + 0.5 * (f64::from(lanes.max(1) * (1 + guesses)) - 1.0) / (ROWS - 1.0);
        let thought = rows(TRIED[place]) / rows(0);
        // Where nothing was found there is nothing to check, and the pass is one without guesses.
        let full =
            if self.times[0] > 0.0 && self.times[place] > 0.0 { self.times[place] / self.times[0] } else { thought };
        1.0 + (full - 1.0) * self.found.max(1.0 / 16.0)
    }

    /// Takes in what a tick told: with so many guesses, read at this time; `plain` where it did nothing but decode.
    pub fn learn(&mut self, drawn: &[LaneEvent], guesses: u32, arrived: u64, plain: bool) {
        if self.by.is_empty() {
            return;
        }
        let mut place = 0;
        for (i, event) in drawn.iter().enumerate() {
            place = if i > 0 && drawn[i - 1].serial == event.serial { place + 1 } else { 0 };
            if event.lane == u32::MAX || !event.stays {
                continue;
            }
            let checked = event.checked;
            self.counts.checks += u64::from(place == 0);
            self.counts.guessed_checks += u64::from(place == 0 && checked);
            let right = event.guess == Some(event.token);
            self.counts.checked += u64::from(place == 0) * u64::from(event.rows - 1);
            self.counts.accepted += u64::from(checked && right);
            if place == 0 {
                learn(&mut self.found, f64::from(u8::from(event.guess.is_some())));
            }
            if event.guess.is_some() && (place as usize) < self.right.len() {
                learn(&mut self.right[place as usize], f64::from(u8::from(right)));
            }
        }
        let Some((before, then)) = self.last.replace((arrived, guesses)) else { return };
        let known =
            TRIED.iter().position(|tried| *tried == guesses).filter(|_| plain && then == guesses && arrived > before);
        if let Some(time) = known.map(|place| &mut self.times[place]) {
            let new = (arrived - before) as f64;
            // Single ticks may be late for reasons of their own.
            if *time == 0.0 { *time = new } else { learn(time, new.min(4.0 * *time)) }
        }
    }

    /// Nothing is under way, so the next tick is not the successor of the last one.
    pub fn pause(&mut self) {
        self.last = None;
    }

    /// What is told of a guess that was checked.
    pub fn told(&self, drawn: &LaneEvent, tokenizer: &Tokenizer) -> Option<Guess> {
        let token = drawn.guess.filter(|_| drawn.checked)?;
        let by = *self.by.get(drawn.source as usize)?;
        let text = tokenizer.token_text(token).unwrap_or_default();
        Some(Guess { token, text, by, accepted: token == drawn.token })
    }
}

impl Engine {
    /// What came of guesses so far.
    pub fn guesses(&self) -> Counts {
        self.guessing.counts
    }

    /// Guesses behind a token for which there is room.
    pub fn most_guesses(&self) -> u32 {
        (self.state.sizes.room.span - 1).min(MAX_GUESSES)
    }

    /// Chooses who guesses, the first one first, and how many guesses are checked behind each token; nobody ends it. Texts do not
    /// change. Holds from the next tick on.
    ///
    /// # Errors
    /// More guesses than there is room for ([`EngineOptions::guesses`](super::EngineOptions::guesses)), an order of rounds in which
    /// lanes stand at different ones, or no room on the GPU.
    pub async fn set_drafting(&mut self, sources: &[DraftSource], guesses: Guesses) -> Result<(), Error> {
        let most = self.most_guesses();
        let refuse = |name, value: String, range: String| Err(RequestError::Setting { name, value, range }.into());
        if let Guesses::Fixed(guesses) = guesses
            && guesses > most
        {
            return refuse("guesses", guesses.to_string(), format!("at most {most}, for which room was made"));
        }
        if !sources.is_empty() && self.order == crate::runtime::tick::Order::Mixed {
            return refuse(
                "draft",
                "guesses".into(),
                "off where lanes of different rounds share a pass; or order waves".into(),
            );
        }
        if !sources.is_empty() && self.deferring.is_on() {
            return refuse("draft", "guesses".into(), "off while layers are put off".into());
        }
        if let Some(exit) = self.exit().filter(|_| !sources.is_empty()) {
            return refuse("draft", "guesses".into(), format!("off while tokens leave early by {}", exit.mode.name()));
        }
        let mut drafters = vec![];
        for source in sources {
            drafters.push(self.drafter(source)?);
        }
        self.gpu.check().await?;
        // Bind groups of drafters before would keep what they guessed with.
        self.gpu.forget_bind_groups();
        self.state.drafters = drafters;
        let counts = self.guessing.counts;
        self.guessing = Guessing {
            by: sources.iter().map(DraftSource::by).collect(),
            guesses,
            most,
            counts,
            ..Guessing::default()
        };
        Ok(())
    }

    fn drafter(&self, source: &DraftSource) -> Result<Drafter, Error> {
        match source {
            DraftSource::Lookup { least, longest } => {
                if *least == 0 || least > longest {
                    let range = "at least one token, and at most the longest match".to_owned();
                    return Err(RequestError::Setting { name: "lookup", value: least.to_string(), range }.into());
                }
                Ok(Drafter::Lookup { least: *least, longest: *longest })
            }
            DraftSource::Recall { scripts, right, seed } => {
                let (lanes, context) = (self.lanes() as usize, self.context() as usize);
                let mut words = vec![0u32; lanes * context];
                for (to, script) in words.chunks_exact_mut(context).zip(scripts) {
                    to.iter_mut().zip(script).for_each(|(to, token)| *to = token % self.config.vocab_size);
                }
                let script = self.gpu.upload("texts to come", &words)?;
                let chance = (f64::from(right.clamp(0.0, 1.0)) * f64::from(u32::MAX)) as u32;
                Ok(Drafter::Recall { script, chance, seed: *seed })
            }
            DraftSource::Path(source) => self.path(source).map(Drafter::Path),
        }
    }

    /// What makes a final state of one behind some layers, and how many of the first tokens it knows.
    pub(super) fn readout(&self, source: &ReadoutSource) -> Result<(Readout, u32), Error> {
        let (sizes, hidden, vocabulary) = (&self.state.sizes, self.config.hidden_size as usize, self.config.vocab_size);
        let norm = |numbers: &[f32]| -> Result<Bank, Error> {
            let mut padded = numbers.to_vec();
            padded.resize(sizes.hidden as usize, 0.0);
            Ok(Bank { buffer: self.gpu.upload("norm of a readout", &padded)?, stride: 0 })
        };
        match source {
            ReadoutSource::Model => Ok((Readout::FinalNorm, vocabulary)),
            ReadoutSource::Linear { norm: by, weight, bias } => {
                fits("norm of a readout", by, hidden)?;
                fits("readout", weight, hidden * hidden)?;
                fits("bias of a readout", bias, hidden)?;
                let rows = u64::from(sizes.room.rows + sizes.room.lane_rows());
                let made = self.gpu.buffer("states read out", rows * u64::from(sizes.hidden) * 4)?;
                let weight = matrix_of(&self.gpu, "readout", weight, hidden, Some(bias))?;
                Ok((Readout::Linear { norm: norm(by)?, weight, made }, vocabulary))
            }
            ReadoutSource::Head { norm: by, weight } => {
                fits("norm of an exit's head", by, hidden)?;
                let rows = weight.len() / hidden;
                fits("head of an exit", weight, rows.clamp(1, vocabulary as usize) * hidden)?;
                let weight = matrix_of(&self.gpu, "head of an exit", weight, hidden, None)?;
                Ok((Readout::Head { norm: norm(by)?, weight }, rows as u32))
            }
        }
    }

    fn path(&self, source: &PathSource) -> Result<Path, Error> {
        let (sizes, hidden, rounds_of_model) =
            (&self.state.sizes, self.config.hidden_size as usize, self.plan.n_rounds());
        let vocabulary = self.config.vocab_size;
        let mut head_rows = source.head_rows.unwrap_or(vocabulary).clamp(1, vocabulary);
        let (from, readout) = match &source.from {
            PathOrigin::Jump { weight, bias } => {
                fits("jump", weight, 2 * hidden * hidden)?;
                fits("bias of a jump", bias, hidden)?;
                // Both parts of what it reads are padded.
                let padded = sizes.hidden as usize;
                let mut rows = vec![0.0; hidden * 2 * padded];
                for (to, row) in rows.chunks_exact_mut(2 * padded).zip(weight.chunks_exact(2 * hidden)) {
                    to[..hidden].copy_from_slice(&row[..hidden]);
                    to[padded..padded + hidden].copy_from_slice(&row[hidden..]);
                }
                let weight = matrix_of(&self.gpu, "jump", &rows, 2 * padded, Some(bias))?;
                (Origin::Jump(Jump::new(&self.gpu, sizes, weight)?), Readout::Final)
            }
            PathOrigin::Rounds { rounds, .. } if *rounds == 0 || *rounds >= rounds_of_model => {
                let range = format!("at least 1 and below {rounds_of_model}, the rounds of this model");
                return Err(setting("rounds of a guess", rounds.to_string(), range));
            }
            PathOrigin::Rounds { rounds, readout } => {
                let (readout, known) = self.readout(readout)?;
                head_rows = head_rows.min(known);
                (Origin::Rounds(*rounds), readout)
            }
        };
        let mut path = Path::new(&self.gpu, sizes, self.plan.classes, from, readout, head_rows)?;
        path.least_log_probability = source.least_probability.clamp(0.0, 1.0).ln();
        Ok(path)
    }
}

fn setting(name: &'static str, value: String, range: String) -> Error {
    RequestError::Setting { name, value, range }.into()
}

/// Refuses numbers that are not so many, or not finite.
pub(super) fn fits(what: &'static str, numbers: &[f32], wanted: usize) -> Result<(), Error> {
    match numbers.len() == wanted {
        _ if numbers.iter().any(|number| !number.is_finite()) => {
            Err(setting(what, "numbers that are not finite".into(), "finite numbers alone".into()))
        }
        true => Ok(()),
        false => Err(setting(what, format!("{} numbers", numbers.len()), format!("{wanted} for this model"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(found: f64, right: f64, times: [f64; 4]) -> Guessing {
        Guessing {
            by: vec![Guesser::Lookup],
            guesses: Guesses::Auto,
            most: 8,
            found,
            right: [right; MAX_GUESSES as usize],
            times,
            lanes: 1,
            ..Guessing::default()
        }
    }

    #[test]
    fn guesses_are_checked_where_they_pay() {
        assert_eq!(auto(1.0, 0.9, [0.0; 4]).choose(1), 7);
        assert_eq!(auto(1.0, 0.3, [0.0; 4]).choose(1), 1, "at one lane a second row is almost free");
        assert_eq!(auto(0.02, 0.9, [10.0, 11.0, 12.0, 15.0]).choose(1), 7, "where nothing is found nothing is checked");
        assert_eq!(auto(1.0, 0.9, [10.0, 20.0, 40.0, 80.0]).choose(1), 0, "passes that cost as much as they write");
        assert_eq!(auto(0.0, 0.5, [0.0; 4]).choose(1), 0);
        assert_eq!(auto(1.0, 0.3, [0.0; 4]).choose(32), 0, "many lanes fill a pass without guesses");
    }

    fn event(serial: u32, guess: Option<u32>, rows: u32, stays: bool) -> LaneEvent {
        LaneEvent {
            lane: if stays { 0 } else { u32::MAX },
            serial,
            token: 5,
            log_probability: 0.0,
            depth: 1,
            position: 9,
            ended: 0,
            guess,
            rows,
            source: 0,
            checked: stays && rows > 1,
            stays,
            compared: false,
            scores: vec![],
            alternatives: vec![],
        }
    }

    #[test]
    fn what_was_checked_is_counted() {
        let mut guessing = auto(0.0, 0.5, [0.0; 4]);
        // Two guesses, the first right; then a guess that was not checked; then none.
        guessing.learn(
            &[event(1, Some(5), 3, true), event(1, Some(6), 3, true), event(1, None, 3, false)],
            3,
            10,
            true,
        );
        guessing.learn(&[event(1, Some(5), 1, true), event(2, None, 1, true)], 0, 20, true);
        assert_eq!(guessing.counts, Counts { checks: 3, guessed_checks: 1, checked: 2, accepted: 1 });
        assert!(guessing.found > 0.1 && guessing.right[0] > 0.5 && guessing.right[1] < 0.5);
    }
}
