//! How many guesses pay, as far as is known.
//!
//! ```text
//! worth = tokens(k) / cost(k)      tokens(k) = 1 + found (r1 + r1 r2 + .. + r1 .. rk)
//! ```
//!
//! `found` is how often there is a guess, after what the last tick told of that; `r` how often the first, second.. guess is right
//! where those before it are; `cost` the time of a tick with `k` guesses in times of one without, measured between ticks. Guesses of
//! the text itself are looked for in every tick, so it is known what checking them would have brought even where nothing is checked. A
//! tick that has room for guesses costs more even where none is found (kernels are chosen for the rows that there may be), so it has
//! that room only while guesses are found.
//!
//! **Invariant:** plain numbers; what is estimated decides how many guesses are checked, never what is written.

use super::event::{Guess, Guesser};
use super::guessing::{Counts, Guesses};
use super::mean::Mean;
use crate::kernels::MAX_GUESSES;
use crate::kernels::exits::finish::LaneEvent;
use crate::text::Tokenizer;

/// Numbers of guesses that are tried, in ascending order: with the next token they fill rows of a power of two.
const TRIED: [u32; 4] = [0, 1, 3, 7];

/// A pass over so many rows is thought to cost 1.5 times that over one, until ticks were timed (`isobath bench --experiment draft`
/// measures it).
const ROWS: f64 = 8.0;

/// What is thought of costs weighs as much as so many ticks that were timed.
const THOUGHT: f64 = 2.0;

/// What is known weighs at most as much as so many ticks, so that it is forgotten.
const REMEMBERED: f64 = 16.0;

/// Share of its weight that a time keeps while ticks are of another kind: it may be that of a shorter text.
const FADES: f64 = 1.0 - 1.0 / 256.0;

/// Better by so much, or nothing is checked: estimates are noisy.
const WORTH: f64 = 1.06;

/// Guesses that cost something to make are tried again after so many ticks without, for the last so many of them.
const AGAIN: u32 = 256;
const TRIAL: u32 = 4;

/// Kinds of ticks by the share of lanes that had a guess in the last one that was told of: none, up to a quarter, half, all.
const HOPES: usize = 4;

/// Numbers of lanes that are told apart, by powers of two.
const CROWDS: usize = 9;

/// What the next tick is asked to check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Guesses behind a lane's next token.
    pub guesses: u32,
    /// What was known of the lanes, as one of [`HOPES`].
    hope: usize,
}

/// Estimates, and what was chosen. Plain numbers.
#[derive(Debug, Clone)]
pub(super) struct Estimates {
    /// Who guesses, the first one first.
    pub by: Vec<Guesser>,
    guesses: Guesses,
    most: u32,
    /// Share of lanes that had a guess in the last tick that was told of.
    told: f64,
    /// How often there is a guess, by hope.
    found: [Mean; HOPES],
    /// Share of guesses that were right, where those before them were: first, second...
    right: [Mean; MAX_GUESSES as usize],
    /// Time of a tick with each number of [`TRIED`], by lanes.
    times: [[Mean; TRIED.len()]; CROWDS],
    lanes: u32,
    /// When the last tick was told of, and what it was asked.
    last: Option<(u64, Asked)>,
    /// Ticks in a row in which no guess was worth its check.
    idle: u32,
    /// What is told.
    pub counts: Counts,
}

/// What a tick told of its lanes.
#[derive(Debug, Default)]
struct Seen {
    lanes: f64,
    found: f64,
    guessed: [f64; MAX_GUESSES as usize],
    right: [f64; MAX_GUESSES as usize],
}

impl Default for Estimates {
    fn default() -> Self {
        Self::new(vec![], Guesses::Fixed(0), 0, Counts::default())
    }
}

/// Which kind of lanes' number.
fn crowd(lanes: u32) -> usize {
    (lanes.max(1).next_power_of_two().trailing_zeros() as usize).min(CROWDS - 1)
}

/// Guesses cost nothing to make, and are made in every tick.
fn free(by: &[Guesser]) -> bool {
    by.iter().all(|by| *by == Guesser::Lookup)
}

impl Estimates {
    /// Who guesses, the first one first.
    pub fn by(&self) -> &[Guesser] {
        &self.by
    }

    /// Nothing is known; `counts` go on.
    pub fn new(by: Vec<Guesser>, guesses: Guesses, most: u32, counts: Counts) -> Self {
        // Who guesses at a cost is thought to have something to say.
        let told = if free(&by) { 0.0 } else { 1.0 };
        Self {
            by,
            guesses,
            most,
            told,
            found: [0.0, 0.2, 0.4, 0.9].map(Mean::thought),
            right: [Mean::thought(0.5); MAX_GUESSES as usize],
            times: [[Mean::NOTHING; TRIED.len()]; CROWDS],
            lanes: 1,
            last: None,
            idle: 0,
            counts,
        }
    }

    /// Guesses to be checked in the next tick, behind the next token of each of so many lanes.
    pub fn choose(&mut self, lanes: u32) -> Asked {
        self.lanes = lanes.max(1);
        let hope = [0.0, 0.25, 0.5].iter().filter(|above| self.told > **above).count();
        let guesses = match (self.by.is_empty(), self.guesses) {
            (true, _) => 0,
            (_, Guesses::Fixed(guesses)) => guesses.min(self.most),
            (_, Guesses::Auto) => {
                let best = self.best(hope);
                self.idle = if best > 0 { 0 } else { self.idle.wrapping_add(1) };
                let again = !free(&self.by) && self.idle % AGAIN >= AGAIN - TRIAL;
                best.max(u32::from(again)).min(self.most)
            }
        };
        Asked { guesses, hope }
    }

    /// The number of guesses with the most tokens for the time.
    fn best(&self, hope: usize) -> u32 {
        let rate = |(place, &guesses): (usize, &u32)| (self.tokens(guesses, hope) / self.cost(place, hope), guesses);
        let rates = TRIED.iter().enumerate().filter(|(_, guesses)| **guesses <= self.most).map(rate);
        let (rate, guesses) = rates.fold((0.0, 0), |best, other| if other.0 > best.0 { other } else { best });
        if rate > WORTH { guesses } else { 0 }
    }

    /// Tokens that a pass with so many guesses is expected to write.
    fn tokens(&self, guesses: u32, hope: usize) -> f64 {
        let chances = self.right.iter().take(guesses as usize).scan(self.found[hope].value, |chance, right| {
            *chance *= right.value;
            Some(*chance)
        });
        1.0 + chances.sum::<f64>()
    }

    /// What it costs, in passes without guesses.
    fn cost(&self, place: usize, hope: usize) -> f64 {
        // Rows that may be cost a part of rows that are.
        let share = self.found[hope].value.max(0.25);
        let rows = |guesses: u32| f64::from(self.lanes) * (1.0 + share * f64::from(guesses));
        let pass = |guesses: u32| 1.0 + 0.5 * (rows(guesses) - 1.0) / (ROWS - 1.0);
        let thought = pass(TRIED[place]) / pass(0);
        let times = &self.times[crowd(self.lanes)];
        let known = times[place].weight.min(times[0].weight);
        let measured = if known > 0.0 { times[place].value / times[0].value } else { thought };
        (THOUGHT * thought + known * measured) / (THOUGHT + known)
    }

    /// Takes in what a tick told, which was asked this and read at this time; `plain` where it did nothing but decode.
    pub fn learn(&mut self, drawn: &[LaneEvent], asked: Asked, arrived: u64, plain: bool) {
        if self.by.is_empty() {
            return;
        }
        let seen = self.count(drawn);
        let before = self.last.replace((arrived, asked));
        let most = REMEMBERED * f64::from(self.lanes);
        for (mean, (guessed, right)) in self.right.iter_mut().zip(seen.guessed.iter().zip(&seen.right)) {
            mean.learn(*right, *guessed, most);
        }
        let Some((earlier, then)) = before else { return };
        // What is told of was guessed in the tick before.
        if seen.lanes > 0.0 && (free(&self.by) || then.guesses > 0) {
            self.told = seen.found / seen.lanes;
            // Longer than others: that something is found where nothing was is rare.
            self.found[then.hope].learn(seen.found, seen.lanes, 8.0 * most);
        }
        if plain && then.guesses == asked.guesses && arrived > earlier {
            self.time(asked.guesses, (arrived - earlier) as f64);
        }
    }

    /// Counts what came of guesses.
    fn count(&mut self, drawn: &[LaneEvent]) -> Seen {
        let (mut seen, mut place) = (Seen::default(), 0);
        for (i, event) in drawn.iter().enumerate() {
            place = if i > 0 && drawn[i - 1].serial == event.serial { place + 1 } else { 0 };
            if event.lane == u32::MAX || !event.stays {
                continue;
            }
            let right = event.guess == Some(event.token);
            self.counts.accepted += u64::from(event.checked && right);
            if place == 0 {
                self.counts.checks += 1;
                self.counts.guessed_checks += u64::from(event.checked);
                self.counts.checked += u64::from(event.rows - 1);
                seen.lanes += 1.0;
                seen.found += f64::from(u8::from(event.guess.is_some()));
            }
            if event.guess.is_some() && place < seen.right.len() {
                seen.guessed[place] += 1.0;
                seen.right[place] += f64::from(u8::from(right));
            }
        }
        seen
    }

    /// A tick with so many guesses took so long, like the one before it.
    fn time(&mut self, guesses: u32, took: f64) {
        let times = &mut self.times[crowd(self.lanes)];
        let Some(place) = TRIED.iter().position(|tried| *tried == guesses) else { return };
        for (_, other) in times.iter_mut().enumerate().filter(|(other, _)| *other != place) {
            other.weight *= FADES;
        }
        let time = &mut times[place];
        // Single ticks may be late for reasons of their own.
        let took = if time.weight >= 1.0 { took.min(2.0 * time.value) } else { took };
        time.learn(took, 1.0, REMEMBERED);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(by: Guesser) -> Estimates {
        Estimates::new(vec![by], Guesses::Auto, 8, Counts::default())
    }

    /// Told that all lanes have guesses, or none.
    fn knowing(found: f64, right: f64, times: [f64; 4]) -> Estimates {
        let known = |value: f64| Mean { value, weight: if value > 0.0 { 1000.0 } else { 0.0 } };
        let mut estimates = auto(Guesser::Lookup);
        estimates.told = found.ceil();
        estimates.found = [Mean { value: found, weight: 1000.0 }; HOPES];
        estimates.right = [Mean { value: right, weight: 1000.0 }; MAX_GUESSES as usize];
        estimates.times = [times.map(known); CROWDS];
        estimates
    }

    #[test]
    fn guesses_are_checked_where_they_pay() {
        let check = |found, right, times, lanes, want: u32, why: &str| {
            assert_eq!(knowing(found, right, times).choose(lanes).guesses, want, "{why}");
        };
        check(1.0, 0.9, [0.0; 4], 1, 7, "nearly all are right");
        check(1.0, 0.3, [0.0; 4], 1, 1, "at one lane a second row is almost free");
        check(1.0, 0.9, [10.0, 11.0, 12.0, 15.0], 1, 7, "measured to be cheap");
        check(1.0, 0.9, [10.0, 20.0, 40.0, 80.0], 1, 0, "passes that cost as much as they write");
        check(0.02, 0.9, [10.0, 11.0, 12.0, 15.0], 1, 0, "room for guesses costs more than the few there are bring");
        check(0.0, 0.5, [0.0; 4], 1, 0, "nothing is found");
        check(1.0, 0.3, [0.0; 4], 32, 0, "many lanes fill a pass without guesses");
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
            compared: false,
            stays,
            scores: vec![],
            alternatives: vec![],
        }
    }

    #[test]
    fn what_was_checked_is_counted() {
        let mut estimates = auto(Guesser::Lookup);
        let asked = |guesses| Asked { guesses, hope: 0 };
        // Two guesses, the first right; then a guess that was not checked; then none.
        let three = [event(1, Some(5), 3, true), event(1, Some(6), 3, true), event(1, None, 3, false)];
        estimates.learn(&three, asked(3), 10, true);
        estimates.learn(&[event(1, Some(5), 1, true), event(2, None, 1, true)], asked(0), 20, true);
        assert_eq!(estimates.counts, Counts { checks: 3, guessed_checks: 1, checked: 2, accepted: 1 });
        assert!(estimates.right[0].value > 0.5 && estimates.right[1].value < 0.5);
        assert_eq!(estimates.told, 0.5);
    }

    /// A device that takes `time(guesses)`; one lane, ticks are told of three later. Guesses in each tick.
    fn simulate(
        by: Guesser,
        ticks: usize,
        time: impl Fn(u32) -> u64,
        guess: impl Fn(usize) -> Option<u32>,
    ) -> Vec<u32> {
        let (mut estimates, mut asked, mut now) = (auto(by), vec![], 0);
        for tick in 0..ticks {
            asked.push(estimates.choose(1));
            let Some(told) = tick.checked_sub(3) else { continue };
            now += time(asked[told].guesses);
            let before = told.checked_sub(1).map_or(0, |before| asked[before].guesses);
            let guess = guess(told).filter(|_| by == Guesser::Lookup || before > 0);
            let rows = if guess.is_some() { 1 + before } else { 1 };
            let mut events = vec![event(1, guess, rows, true)];
            let mut right = guess == Some(5);
            for _ in 1..rows {
                events.push(event(1, guess, rows, right));
                right &= guess == Some(5);
            }
            estimates.learn(&events, asked[told], now, true);
        }
        asked.iter().map(|asked| asked.guesses).collect()
    }

    #[test]
    fn a_text_that_repeats_is_seen_within_a_few_ticks_and_its_end_too() {
        let repeats = |tick: usize| (100..200).contains(&tick).then_some(5);
        let guesses = simulate(Guesser::Lookup, 400, |guesses| 100 + 5 * u64::from(guesses), repeats);
        assert!(guesses[..100].iter().all(|guesses| *guesses == 0));
        assert!(guesses[105..200].iter().all(|guesses| *guesses >= 3), "{guesses:?}");
        assert!(guesses[125..200].iter().all(|guesses| *guesses == 7), "{guesses:?}");
        assert!(guesses[204..].iter().all(|guesses| *guesses == 0), "{guesses:?}");
    }

    #[test]
    fn wrong_guesses_are_given_up() {
        let time = |guesses| 100 + 10 * u64::from(guesses);
        let guesses = simulate(Guesser::Lookup, 400, time, |_| Some(6));
        let lost: u32 = guesses.iter().sum();
        assert!(lost <= 60 && guesses[200..].iter().all(|guesses| *guesses == 0), "{guesses:?}");
    }

    #[test]
    fn guesses_that_cost_something_are_tried_and_tried_again() {
        let time = |guesses| 100 + 20 * u64::from(guesses);
        let good = simulate(Guesser::Jump, 300, time, |_| Some(5));
        assert!(good[20..].iter().all(|guesses| *guesses > 0), "{good:?}");
        let bad = simulate(Guesser::Jump, 1000, time, |_| Some(6));
        let tried = bad[100..].iter().filter(|guesses| **guesses > 0).count();
        assert!((4..=40).contains(&tried), "{bad:?}");
    }
}
