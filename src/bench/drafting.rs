//! What guesses are worth: the cost model, and texts that are written with and without.
//!
//! ```text
//! tokens of a check   E = 1 + a + .. + a^k = (1 - a^(k+1)) / (1 - a)      a: chance that a guess is right, if those before it are
//! speed-up            E / cost                                            cost: of a pass with k guesses, in passes without
//! ```

use super::ledger::Outcome;
use super::test::decode;
use super::work::{Numbers, WorkDepth};
use crate::engine::Engine;
use crate::engine::event::Event;
use crate::engine::request::{Request, Sampling};
use crate::error::Error;

/// Tokens that a pass with so many guesses writes on average, where each is right with this chance if those before it are.
pub fn tokens_per_check(right: f64, guesses: u32) -> f64 {
    (0..=guesses).map(|place| right.powi(place as i32)).sum()
}

/// What guesses and checks cost where reading weights is all that costs. The unit is one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layers {
    /// Layers of the model.
    pub layers: f64,
    /// Its head.
    pub head: f64,
    /// A guess: shallow layers, layers of its own, readout and head.
    pub guess: f64,
    /// What a row that is checked adds to a pass, as a share of it.
    pub row: f64,
}

impl Layers {
    /// Tokens for the time, in those without guesses.
    pub fn speed_up(&self, right: f64, guesses: u32) -> f64 {
        let (pass, count) = (self.layers + self.head, f64::from(guesses));
        tokens_per_check(right, guesses) * pass / (count * self.guess + pass * (1.0 + self.row * count))
    }

    /// The best number of guesses up to `most`, and its speed-up: none and 1 where they do not pay.
    pub fn best(&self, right: f64, most: u32) -> (u32, f64) {
        let all = (1..=most).map(|guesses| (guesses, self.speed_up(right, guesses)));
        all.fold((0, 1.0), |best, other| if other.1 > best.1 { other } else { best })
    }
}

/// Rows and what a pass over them costs, in passes over one row; in ascending order of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PassCosts(Vec<(f64, f64)>);

impl PassCosts {
    /// Adds what a pass of so many lanes costs with guesses, in passes without; nothing where it is not known how those compare
    /// with one row.
    pub fn add(&mut self, lanes: u32, rows: u32, cost: f64) {
        if self.0.is_empty() {
            self.0.push((1.0, 1.0));
        }
        if lanes == 1 || self.0.len() > 1 {
            let point = (f64::from(rows), self.at(f64::from(lanes)) * cost);
            let place = self.0.partition_point(|known| known.0 < point.0);
            if self.0.get(place).is_none_or(|known| known.0 > point.0) {
                self.0.insert(place, point);
            }
        }
    }

    /// The two points whose line tells of what lies at or beyond them.
    fn line(&self, beyond: impl Fn(&(f64, f64)) -> bool) -> Option<[(f64, f64); 2]> {
        let last = self.0.windows(2).find(|pair| beyond(&pair[1]));
        match (last, self.0.first(), self.0.last()) {
            (Some(pair), ..) => Some([pair[0], pair[1]]),
            // Beyond all: as from the first to the last.
            (None, Some(first), Some(last)) if self.0.len() > 1 => Some([*first, *last]),
            _ => None,
        }
    }

    /// The cost of a pass over so many rows.
    fn at(&self, rows: f64) -> f64 {
        let Some([(r0, c0), (r1, c1)]) = self.line(|point| point.0 >= rows) else { return 1.0 };
        c0 + (c1 - c0) * (rows - r0) / (r1 - r0)
    }

    /// Rows at which a pass costs so much; none where that is not known.
    pub fn rows_at(&self, cost: f64) -> Option<f64> {
        let [(r0, c0), (r1, c1)] = self.line(|point| point.1 >= cost)?;
        (c1 > c0).then(|| r0 + (r1 - r0) * (cost - c0) / (c1 - c0))
    }
}

/// A text in each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Texts {
    /// Tokens of each prompt.
    pub prompt: u32,
    /// Tokens that are timed, of the lane that writes first.
    pub tokens: u32,
    /// Prompts repeat a few tokens, and the most probable token is written; otherwise both are drawn by lot.
    pub repeat: bool,
}

/// Tokens that a prompt repeats.
const PERIOD: usize = 8;

impl Texts {
    /// Tokens of the longest sequence, where prompts are read in chunks of `chunk` and a tick writes up to `span` tokens.
    pub fn context(&self, lanes: u32, chunk: u32, span: u32) -> u32 {
        self.prompt + self.written(lanes, chunk, span) + 1
    }

    /// Beside the tokens that are timed, what the first lane may be ahead of the last.
    fn written(&self, lanes: u32, chunk: u32, span: u32) -> u32 {
        self.tokens + 1 + span * (1 + (lanes * self.prompt).div_ceil(chunk.max(1)))
    }

    /// The requests, the same for every engine of these lanes.
    pub fn requests(&self, engine: &Engine, span: u32, depth: WorkDepth) -> Vec<Request> {
        let vocabulary = f64::from(engine.config().vocab_size);
        let written = self.written(engine.lanes(), engine.chunk(), span);
        let request = |lane: u32| {
            let mut numbers = Numbers::new(u64::from(lane) + 1);
            let drawn: Vec<u32> = (0..self.prompt.max(1)).map(|_| (numbers.next() * vocabulary) as u32).collect();
            let period = if self.repeat { PERIOD } else { drawn.len() };
            let prompt = (0..drawn.len()).map(|place| drawn[place % period]).collect();
            let mut request = Request::new(prompt, written);
            request.ignore_end = true;
            if !self.repeat {
                request.sampling = Sampling { temperature: 1.0, seed: u64::from(lane), ..Sampling::GREEDY };
            }
            depth.apply(&mut request);
            request
        };
        (0..engine.lanes()).map(request).collect()
    }

    /// Writes them: the clock runs from the tick in which the last lane has begun to the one in which the first ends.
    ///
    /// # Errors
    /// What the engine reports.
    pub async fn run(
        &self,
        engine: &mut Engine,
        span: u32,
        depth: WorkDepth,
        clock: &dyn Fn() -> f64,
    ) -> Result<Outcome, Error> {
        depth.decide(engine)?;
        // Nothing that a run before it has read makes this one faster.
        engine.forget_prefixes();
        decode(engine, self.requests(engine, span, depth), clock).await
    }

    /// Writes them, and returns the tokens of each lane by position, as a fake drafter recalls them.
    ///
    /// # Errors
    /// What the engine reports.
    pub async fn scripts(&self, engine: &mut Engine, span: u32, depth: WorkDepth) -> Result<Vec<Vec<u32>>, Error> {
        depth.decide(engine)?;
        let mut scripts = vec![vec![0; engine.context() as usize]; engine.lanes() as usize];
        for request in self.requests(engine, span, depth) {
            engine.submit(request)?;
        }
        while !engine.is_idle() {
            for told in engine.tick().await? {
                let lane = told.lane.and_then(|lane| scripts.get_mut(lane as usize));
                if let (Event::Token(token), Some(script)) = (told.event, lane)
                    && let Some(place) = script.get_mut(token.position as usize)
                {
                    *place = token.token;
                }
            }
        }
        Ok(scripts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_a_check() {
        let check = |right, guesses, want: f64| {
            let got = tokens_per_check(right, guesses);
            assert!((got - want).abs() < 1e-9, "{right} {guesses}: {got}");
        };
        check(0.0, 7, 1.0);
        check(1.0, 7, 8.0);
        check(0.5, 3, 1.875);
        check(0.7, 0, 1.0);
    }

    /// Head, guess and the speed-up at the best number of guesses (in brackets where it is told), as the cost model was set up.
    #[test]
    fn the_cost_model_gives_its_table() {
        let smol = |guess: f64| Layers { layers: 30.0, head: 8.0, guess, row: 0.02 };
        let llama = |guess: f64| Layers { layers: 16.0, head: 4.3, guess, row: 0.02 };
        let check = |model: Layers, right: f64, want: f64, guesses: Option<u32>| {
            let (best, speed_up) = model.best(right, 16);
            assert!((speed_up - want).abs() < 0.011, "{model:?} {right}: {speed_up}, not {want}");
            assert!(guesses.is_none_or(|guesses| guesses == best), "{model:?} {right}: {best} guesses");
        };
        // One layer with the matrix in front of it, and a head of 8192 rows.
        let jump = smol(1.0 + 0.19 + 1.33);
        check(jump, 0.4, 1.33, None);
        check(jump, 0.5, 1.49, Some(2));
        check(jump, 0.6, 1.73, Some(3));
        check(jump, 0.7, 2.06, Some(4));
        check(jump, 0.8, 2.60, Some(6));
        let kangaroo = smol(2.0 + 1.0 + 1.33);
        check(kangaroo, 0.5, 1.38, Some(2));
        check(kangaroo, 0.7, 1.81, Some(3));
        check(kangaroo, 0.8, 2.21, Some(5));
        let exit = smol(8.0 + 0.09 + 1.33);
        check(exit, 0.4, 1.10, None);
        check(exit, 0.6, 1.27, Some(2));
        check(exit, 0.7, 1.42, Some(2));
        check(smol(15.0 + 0.09 + 1.33), 0.4, 1.0, Some(0));
        check(smol(20.0 + 0.09 + 8.0), 0.9, 1.08, Some(1));
        check(llama(1.0 + 1.0 + 0.28), 0.7, 1.81, None);
    }

    #[test]
    fn rows_are_found_between_passes_and_beyond_them() {
        let mut costs = PassCosts::default();
        assert_eq!(costs.rows_at(1.5), None);
        costs.add(4, 8, 1.2);
        assert_eq!(costs.rows_at(1.5), None, "it is not known what 4 rows cost");
        costs.add(1, 2, 1.1);
        costs.add(1, 4, 1.3);
        assert!((costs.rows_at(1.5).unwrap() - 6.0).abs() < 1e-9, "{costs:?}");
        // Lanes whose rows were measured.
        costs.add(4, 16, 1.7 / 1.3);
        assert!((costs.rows_at(1.5).unwrap() - 10.0).abs() < 1e-9, "{costs:?}");
        assert!((costs.rows_at(1.2).unwrap() - 3.0).abs() < 1e-9);
        let mut flat = PassCosts::default();
        flat.add(1, 2, 1.0);
        assert_eq!(flat.rows_at(1.5), None, "rows that cost nothing");
    }
}
