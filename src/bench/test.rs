//! Single tests, named as llama-bench names them: `pp512`, `tg128`, `tg128 @ d512`, `tg32 x8`, `tg32 @ d512 x8`.

use std::fmt;
use std::str::FromStr;

use super::ledger::{Ledger, Outcome};
use super::work::{Numbers, WorkDepth};
use crate::engine::request::{Request, Sampling};
use crate::engine::{Engine, MAX_LANES};
use crate::error::{Error, GpuError, RequestError};
use crate::kernels::PAGE;

/// One test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub enum Test {
    /// Reading a prompt of so many tokens, and drawing one.
    Prefill {
        /// Tokens of the prompt.
        tokens: u32,
    },
    /// Writing; prompts are read before the clock starts.
    Decode {
        /// Tokens that each lane writes.
        tokens: u32,
        /// Tokens of context before the first.
        at: u32,
        /// Sequences side by side.
        lanes: u32,
    },
}

impl Test {
    /// Lanes that the engine must have.
    pub fn lanes(&self) -> u32 {
        match *self {
            Self::Prefill { .. } => 1,
            Self::Decode { lanes, .. } => lanes,
        }
    }

    /// Tokens of the longest sequence, where prompts are read in chunks of `chunk`.
    pub fn context(&self, chunk: u32) -> u32 {
        match *self {
            Self::Prefill { tokens } => tokens + 1,
            Self::Decode { tokens, at, .. } => at.max(1) + tokens + 1 + self.head_start(chunk),
        }
    }

    /// Entries that a token of the test sees on average.
    pub fn mean_context(&self) -> f64 {
        match *self {
            Self::Prefill { tokens } => f64::from(tokens) / 2.0,
            Self::Decode { tokens, at, .. } => f64::from(at.max(1)) + f64::from(tokens) / 2.0,
        }
    }

    /// Tokens that the first lane may be ahead of the last: what the prefix cache does not have of the prompts, less than
    /// a page and a token each, is read in ticks of `chunk`.
    fn head_start(&self, chunk: u32) -> u32 {
        match *self {
            Self::Prefill { .. } => 0,
            Self::Decode { at, lanes, .. } => (lanes * at.clamp(1, PAGE + 1)).div_ceil(chunk.max(1)),
        }
    }

    /// The requests of one repetition. Each lane has a prompt of its own.
    fn requests(&self, engine: &Engine, depth: WorkDepth) -> Vec<Request> {
        let vocabulary = f64::from(engine.config().vocab_size);
        let (prompt, written) = match *self {
            Self::Prefill { tokens } => (tokens, 1),
            Self::Decode { tokens, at, .. } => (at.max(1), tokens + 1 + self.head_start(engine.chunk())),
        };
        let request = |lane: u32| {
            let mut numbers = Numbers::new(u64::from(lane) + 1);
            let prompt = (0..prompt).map(|_| (numbers.next() * vocabulary) as u32).collect();
            let mut request = Request::new(prompt, written);
            request.ignore_end = true;
            request.sampling = Sampling { temperature: 1.0, seed: u64::from(lane), ..Sampling::GREEDY };
            depth.apply(&mut request);
            request
        };
        (0..self.lanes()).map(request).collect()
    }

    /// One repetition; `clock` gives seconds since any moment. The engine must keep prefixes, or contexts are read anew while
    /// lanes decode.
    ///
    /// # Errors
    /// What the engine reports.
    pub async fn run(&self, engine: &mut Engine, depth: WorkDepth, clock: &dyn Fn() -> f64) -> Result<Outcome, Error> {
        depth.decide(engine)?;
        let requests = self.requests(engine, depth);
        match *self {
            Self::Prefill { .. } => {
                engine.forget_prefixes();
                let mut ledger = Ledger::begin(engine, clock);
                ledger.submit(engine, requests)?;
                ledger.run_to_the_end(engine).await?;
                Ok(ledger.finish(engine, clock))
            }
            Self::Decode { .. } => {
                // The prompts are read once and stay in the prefix cache: also for the repetitions to come.
                let mut reading = Ledger::begin(engine, clock);
                let short = requests.iter().map(|request| Request { max_tokens: 1, ..request.clone() });
                reading.submit(engine, short.collect())?;
                reading.run_to_the_end(engine).await?;
                decode(engine, requests, clock).await
            }
        }
    }
}

/// Writes by all lanes. The clock runs from the tick in which the last lane has begun to the one in which the first ends, so that
/// all lanes are at work all the while.
pub(super) async fn decode(
    engine: &mut Engine,
    requests: Vec<Request>,
    clock: &dyn Fn() -> f64,
) -> Result<Outcome, Error> {
    let mut ledger = Ledger::begin(engine, clock);
    ledger.submit(engine, requests)?;
    while !ledger.all_begun() && !engine.is_idle() {
        ledger.take(engine.tick().await?);
    }
    if ledger.any_ended() {
        let why = "a lane ended before all had begun; the KV cache may be too small to keep the prompts".to_owned();
        return Err(GpuError::Internal { why }.into());
    }
    ledger.start_clock(engine, clock);
    while !ledger.any_ended() && !engine.is_idle() {
        ledger.take(engine.tick().await?);
    }
    let mut outcome = ledger.finish(engine, clock);
    // Off the clock: the hash is that of whole sequences, whatever the order and speed.
    ledger.run_to_the_end(engine).await?;
    outcome.hash = ledger.hash();
    Ok(outcome)
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Prefill { tokens } => write!(f, "pp{tokens}"),
            Self::Decode { tokens, at, lanes } => {
                write!(f, "tg{tokens}")?;
                if at > 0 {
                    write!(f, " @ d{at}")?;
                }
                if lanes > 1 { write!(f, " x{lanes}") } else { Ok(()) }
            }
        }
    }
}

impl FromStr for Test {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let refuse = || {
            let range = format!("pp512, tg128, tg128 @ d512, tg32 x8 (1 to {MAX_LANES} lanes) or tg32 @ d512 x8");
            RequestError::Setting { name: "test", value: text.to_owned(), range }
        };
        let number =
            |word: &str| word.parse().ok().filter(|number| *number > 0 && *number < 1 << 24).ok_or_else(refuse);
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(tokens) = compact.strip_prefix("pp") {
            return Ok(Self::Prefill { tokens: number(tokens)? });
        }
        let rest = compact.strip_prefix("tg").ok_or_else(refuse)?;
        let (rest, lanes) = rest.split_once('x').map_or(Ok((rest, 1)), |(rest, n)| number(n).map(|n| (rest, n)))?;
        let (tokens, at) = match rest.split_once("@d") {
            Some((tokens, "0")) => (number(tokens)?, 0),
            Some((tokens, at)) => (number(tokens)?, number(at)?),
            None => (number(rest)?, 0),
        };
        if lanes > MAX_LANES { Err(refuse()) } else { Ok(Self::Decode { tokens, at, lanes }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let decode = |tokens, at, lanes| Test::Decode { tokens, at, lanes };
        for (text, want) in [
            ("pp512", Test::Prefill { tokens: 512 }),
            ("tg128", decode(128, 0, 1)),
            ("tg128 @ d512", decode(128, 512, 1)),
            ("tg32 x8", decode(32, 0, 8)),
            ("tg32 @ d1024 x64", decode(32, 1024, 64)),
        ] {
            assert_eq!(text.parse::<Test>().unwrap(), want, "{text}");
            assert_eq!(want.to_string(), text);
            assert_eq!(text.replace(' ', "").parse::<Test>().unwrap(), want, "{text}");
        }
        assert_eq!("tg8 @ d0 x1".parse::<Test>().unwrap(), decode(8, 0, 1));
    }

    #[test]
    fn what_is_no_test_is_refused() {
        for text in
            ["", "pp", "pp0", "tg", "tg0", "tg-1", "xx5", "tg5 x0", "tg5 x257", "tg5 @ 7", "tg5 @ d", "tg5x8@d7"]
        {
            let error = text.parse::<Test>().unwrap_err().to_string();
            assert!(error.contains("tg128 @ d512"), "{text}: {error}");
        }
    }

    #[test]
    fn sequences_have_room_for_what_lanes_are_ahead() {
        assert_eq!(Test::Prefill { tokens: 512 }.context(256), 513);
        assert_eq!("tg128".parse::<Test>().unwrap().context(256), 1 + 128 + 1 + 1);
        // 256 lanes read 33 tokens each in 33 ticks of 256.
        assert_eq!("tg16 @ d512 x256".parse::<Test>().unwrap().context(256), 512 + 16 + 1 + 33);
    }
}
