//! When guesses are checked, and how many behind each token.
//!
//! A check of `k` guesses costs a pass over `1 + k` rows of each lane, and is worth the guesses that are right. How many that will be
//! is estimated from those before, how much dearer the pass is from the time between ticks. Guesses that cost nothing to make are
//! made and compared in every tick, so it is known what checking them would have brought even where nothing is checked.
//!
//! **Invariant:** this decides how many guesses are checked, never what is written.

use super::Engine;
use super::drafters::DraftSource;
use super::event::{Guess, Guesser};
use crate::error::{Error, RequestError};
use crate::kernels::MAX_GUESSES;
use crate::kernels::exits::finish::LaneEvent;
use crate::text::Tokenizer;

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
        self.state.sizes.room.span - 1
    }

    /// Chooses who guesses, the first one first, and how many guesses are checked behind each token; nobody ends it. Texts do not
    /// change. Holds from the next tick on.
    ///
    /// # Errors
    /// More guesses than there is room for ([`EngineOptions::guesses`](super::EngineOptions::guesses)), an order of rounds in which
    /// lanes stand at different ones, or no room on the GPU.
    pub async fn set_drafting(&mut self, sources: &[DraftSource], guesses: Guesses) -> Result<(), Error> {
        let most = self.state.sizes.room.span - 1;
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
