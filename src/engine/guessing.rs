//! Who guesses, and how many guesses are checked behind each token.
//!
//! A check of `k` guesses costs a pass over `1 + k` rows of each lane, and is worth the guesses that are right. Whether one pays is
//! estimated in [`estimate`](super::estimate).
//!
//! **Invariant:** this decides how many guesses are checked, never what is written.

use super::Engine;
use super::estimate::Estimates;
use super::event::Guesser;
use crate::error::{Error, RequestError};
use crate::runtime::draft::Drafter;
use crate::runtime::draft::path::{Jump, Origin, Path, Readout};
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
        let by = sources.iter().map(DraftSource::by).collect();
        self.guessing = Estimates::new(by, guesses, most, self.guessing.counts);
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

    fn path(&self, source: &PathSource) -> Result<Path, Error> {
        let (sizes, hidden, rounds_of_model) =
            (&self.state.sizes, self.config.hidden_size as usize, self.plan.n_rounds());
        let refuse = |name, value: String, range: String| Error::from(RequestError::Setting { name, value, range });
        let fits = |what: &'static str, numbers: &[f32], wanted: usize| match numbers.len() == wanted {
            _ if numbers.iter().any(|number| !number.is_finite()) => {
                Err(refuse(what, "numbers that are not finite".into(), "finite numbers alone".into()))
            }
            true => Ok(()),
            false => Err(refuse(what, format!("{} numbers", numbers.len()), format!("{wanted} for this model"))),
        };
        let norm = |numbers: &[f32]| -> Result<Bank, Error> {
            let mut padded = numbers.to_vec();
            padded.resize(sizes.hidden as usize, 0.0);
            Ok(Bank { buffer: self.gpu.upload("norm of a readout", &padded)?, stride: 0 })
        };
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
                return Err(refuse("rounds of a guess", rounds.to_string(), range));
            }
            PathOrigin::Rounds { rounds, readout } => {
                let readout = match readout {
                    ReadoutSource::Model => Readout::FinalNorm,
                    ReadoutSource::Linear { norm: by, weight, bias } => {
                        fits("norm of a readout", by, hidden)?;
                        fits("readout", weight, hidden * hidden)?;
                        fits("bias of a readout", bias, hidden)?;
                        let rows = u64::from(sizes.room.rows + sizes.room.lane_rows());
                        let made = self.gpu.buffer("states read out", rows * u64::from(sizes.hidden) * 4)?;
                        Readout::Linear {
                            norm: norm(by)?,
                            weight: matrix_of(&self.gpu, "readout", weight, hidden, Some(bias))?,
                            made,
                        }
                    }
                    ReadoutSource::Head { norm: by, weight } => {
                        fits("norm of an exit's head", by, hidden)?;
                        let rows = weight.len() / hidden;
                        fits("head of an exit", weight, rows.clamp(1, vocabulary as usize) * hidden)?;
                        head_rows = head_rows.min(rows as u32);
                        Readout::Head {
                            norm: norm(by)?,
                            weight: matrix_of(&self.gpu, "head of an exit", weight, hidden, None)?,
                        }
                    }
                };
                (Origin::Rounds(*rounds), readout)
            }
        };
        let mut path = Path::new(&self.gpu, sizes, self.plan.classes, from, readout, head_rows)?;
        path.least_log_probability = source.least_probability.clamp(0.0, 1.0).ln();
        Ok(path)
    }
}
