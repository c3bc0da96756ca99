//! Who guesses, as a caller describes it, and what that becomes on the GPU.

use super::Engine;
use super::event::Guesser;
use crate::error::{Error, RequestError};
use crate::runtime::draft::Drafter;
use crate::runtime::draft::path::{Exit, Jump, Origin, Path, Sure};
use crate::runtime::draft::readout::Readout;
use crate::runtime::upload::matrix_of;
use crate::runtime::weights::Bank;

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

/// One of several exits.
#[derive(Debug, Clone, PartialEq)]
pub struct ExitSource {
    /// Rounds behind which it stands.
    pub rounds: u32,
    /// What the head reads.
    pub readout: ReadoutSource,
    /// A guess of more entropy, in nats, is left to the next exit; behind the last no more is guessed.
    pub most_entropy: f32,
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
    /// Several exits of a plain stack, the shallowest first.
    Exits(Vec<ExitSource>),
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

    pub(super) fn by(&self) -> Guesser {
        match self {
            Self::Lookup { .. } => Guesser::Lookup,
            Self::Recall { .. } => Guesser::Recall,
            Self::Path(PathSource { from: PathOrigin::Rounds { .. }, .. }) => Guesser::Rounds,
            Self::Path(PathSource { from: PathOrigin::Exits(_), .. }) => Guesser::Exits,
            Self::Path(PathSource { from: PathOrigin::Jump { .. }, .. }) => Guesser::Jump,
        }
    }
}

impl Engine {
    pub(super) fn drafter(&self, source: &DraftSource) -> Result<Drafter, Error> {
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
            DraftSource::Path(source) => Ok(Drafter::Path(Box::new(self.path(source)?))),
        }
    }

    fn path(&self, source: &PathSource) -> Result<Path, Error> {
        let sure = Sure::LogProbability(source.least_probability.clamp(0.0, 1.0).ln());
        let all = self.config.vocab_size;
        let most = source.head_rows.unwrap_or(all).clamp(1, all);
        let (from, exits) = match &source.from {
            PathOrigin::Jump { weight, bias } => {
                let exit = Exit { rounds: 0, readout: Readout::Final, head_rows: most, sure };
                (Origin::Jump(Box::new(self.jump(weight, bias)?)), vec![exit])
            }
            PathOrigin::Rounds { rounds, readout } => {
                (Origin::Rounds, vec![self.exit_of(*rounds, readout, most, sure)?])
            }
            PathOrigin::Exits(sources) => (Origin::Rounds, self.exits(sources, most)?),
        };
        Ok(Path::new(&self.gpu, &self.state.sizes, self.plan.classes, from, exits)?)
    }

    fn exits(&self, sources: &[ExitSource], most: u32) -> Result<Vec<Exit>, Error> {
        let refuse = |value: String, range: &str| {
            Err(RequestError::Setting { name: "exits of a guess", value, range: range.to_owned() }.into())
        };
        if sources.is_empty() || sources.windows(2).any(|pair| pair[0].rounds >= pair[1].rounds) {
            let value = format!("{:?}", sources.iter().map(|exit| exit.rounds).collect::<Vec<_>>());
            return refuse(value, "at least one, the shallowest first");
        }
        if sources.len() > 1 && !self.plan.is_plain() {
            return refuse(
                format!("{} of them", sources.len()),
                "one: rounds of this model are not slices of a plain stack",
            );
        }
        let exit = |source: &ExitSource| {
            self.exit_of(source.rounds, &source.readout, most, Sure::NegativeEntropy(-source.most_entropy.max(0.0)))
        };
        sources.iter().map(exit).collect()
    }

    fn exit_of(&self, rounds: u32, readout: &ReadoutSource, most: u32, sure: Sure) -> Result<Exit, Error> {
        let all = self.plan.n_rounds();
        if rounds == 0 || rounds >= all {
            let range = format!("at least 1 and below {all}, the rounds of this model");
            return Err(RequestError::Setting { name: "rounds of a guess", value: rounds.to_string(), range }.into());
        }
        let (readout, known) = self.readout(readout)?;
        let head_rows = most.min(known);
        Ok(Exit { rounds, readout, head_rows, sure })
    }

    /// What makes a final state of one behind some layers, and how many of the first tokens it knows.
    pub(super) fn readout(&self, source: &ReadoutSource) -> Result<(Readout, u32), Error> {
        let (sizes, hidden, all) = (&self.state.sizes, self.config.hidden_size as usize, self.config.vocab_size);
        match source {
            ReadoutSource::Model => Ok((Readout::FinalNorm, all)),
            ReadoutSource::Linear { norm, weight, bias } => {
                fits("readout", weight, hidden * hidden)?;
                fits("bias of a readout", bias, hidden)?;
                let rows = u64::from(sizes.room.rows + sizes.room.lane_rows());
                let made = self.gpu.buffer("states read out", rows * u64::from(sizes.hidden) * 4)?;
                let weight = matrix_of(&self.gpu, "readout", weight, hidden, Some(bias))?;
                Ok((Readout::Linear { norm: self.norm_of(norm)?, weight, made }, all))
            }
            ReadoutSource::Head { norm, weight } => {
                let rows = (weight.len() / hidden).clamp(1, all as usize);
                fits("head of an exit", weight, rows * hidden)?;
                let weight = matrix_of(&self.gpu, "head of an exit", weight, hidden, None)?;
                Ok((Readout::Head { norm: self.norm_of(norm)?, weight }, rows as u32))
            }
        }
    }

    fn norm_of(&self, numbers: &[f32]) -> Result<Bank, Error> {
        fits("norm of a readout", numbers, self.config.hidden_size as usize)?;
        let mut padded = numbers.to_vec();
        padded.resize(self.state.sizes.hidden as usize, 0.0);
        Ok(Bank { buffer: self.gpu.upload("norm of a readout", &padded)?, stride: 0 })
    }

    fn jump(&self, weight: &[f32], bias: &[f32]) -> Result<Jump, Error> {
        let (hidden, padded) = (self.config.hidden_size as usize, self.state.sizes.hidden as usize);
        fits("jump", weight, 2 * hidden * hidden)?;
        fits("bias of a jump", bias, hidden)?;
        // Both parts of what it reads are padded.
        let mut rows = vec![0.0; hidden * 2 * padded];
        for (to, row) in rows.chunks_exact_mut(2 * padded).zip(weight.chunks_exact(2 * hidden)) {
            to[..hidden].copy_from_slice(&row[..hidden]);
            to[padded..padded + hidden].copy_from_slice(&row[hidden..]);
        }
        let weight = matrix_of(&self.gpu, "jump", &rows, 2 * padded, Some(bias))?;
        Ok(Jump::new(&self.gpu, &self.state.sizes, weight)?)
    }
}

/// Refuses numbers that are not as many as wanted, or not numbers.
pub(super) fn fits(what: &'static str, numbers: &[f32], wanted: usize) -> Result<(), RequestError> {
    let refuse = |value: String, range: String| Err(RequestError::Setting { name: what, value, range });
    if numbers.iter().any(|number| !number.is_finite()) {
        return refuse("numbers that are not finite".into(), "finite numbers alone".into());
    }
    if numbers.len() != wanted {
        return refuse(format!("{} numbers", numbers.len()), format!("{wanted} for this model"));
    }
    Ok(())
}
