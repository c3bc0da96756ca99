//! Who goes deeper, as data: what is measured of a row, when, over whom, and what is asked of the measure.
//!
//! Two things stand beside each other and must not be mixed: what *weighs* a round's result
//! ([`Residual`]) and what *decides* on the next round (a [`Gate`]). One small network may do both.
//!
//! What is measured after a round is measured before the next one: that is the moment at which a gate is asked. A gate
//! that compares with the round before, or that needs the head, has nothing to measure before the first round; its score
//! is 0 there, and the round is free.
//!
//! **Invariant:** data only. A new gate is an entry in [`GATES`], a kernel that measures (`runtime/gates.rs` lists them),
//! and its twin where the judge asks (`judge/gates.rs`).

use crate::depth::policy::Rule;
use crate::error::RequestError;
use crate::network::plan::{MissingKeys, Plan, Residual};

/// A small network of the model's own that scores a row of the residual stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Scorer {
    /// Its layers.
    pub layers: ScorerLayers,
    /// Names and shapes, `[out, in]`, of its matrices, first to last: a list for each round, or one alone where it is asked
    /// once.
    pub tensors: Vec<Vec<(String, [usize; 2])>>,
    /// The row is divided by this.
    pub temperature: f32,
    /// From a score to its value, which weighs and by which a depth is chosen at once.
    pub function: ScoreFunction,
    /// Factor of the value; not of [`ScoreFunction::Identity`].
    pub alpha: f32,
    /// Name of a bias, `[outputs]`, that is added to what decides and not to what weighs.
    pub bias: Option<String>,
}

/// A scorer's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScorerLayers {
    /// One matrix.
    Linear,
    /// Two with exact GELU between them.
    Mlp,
}

/// From a score to its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreFunction {
    /// The score itself.
    Identity,
    /// Logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Over all scores of a row.
    Softmax,
}

/// What is measured of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The score of one of the plan's [`Scorer`]s, by its index there.
    Scorer(usize),
    /// A statistic of the tokens' probabilities, by the final norm and the head.
    Head(HeadStatistic),
    /// The stream compared with what it was before the round.
    Change(Change),
    /// The share of all that a scorer's values have stopped so far, over the rounds.
    Accumulated(usize),
}

/// A statistic of the probabilities of all tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadStatistic {
    /// The largest less the second largest.
    TopTwoGap,
    /// The largest.
    Largest,
    /// Entropy in nats.
    Entropy,
}

/// How two states of a row are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Cosine of their angle.
    Cosine,
    /// Length of their difference, divided by the length of the new one.
    Distance,
}

/// When a gate is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the first round, for all of them: the largest of a score for each depth is the depth.
    Once,
    /// Before each round, for that one.
    EachRound,
}

/// Over whom a decision is taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Over {
    /// Each row by itself: causal, and the same in any company.
    Row,
    /// The rows of a text that are read together, which compete.
    Text {
        /// Share of them that goes on to each round.
        share: Vec<f64>,
        /// The lowest scores go on.
        lowest: bool,
    },
}

/// Who goes deeper.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Its name where one is chosen.
    pub name: &'static str,
    /// What it measures, in words.
    pub says: &'static str,
    /// What is measured.
    pub measure: Measure,
    /// The scorer whose scores are reported, where it is not what decides.
    pub reported: Option<usize>,
    /// When.
    pub moment: Moment,
    /// Over whom.
    pub over: Over,
    /// Every row runs the first round, whatever its score.
    pub first_free: bool,
    /// What a score is asked for at the threshold.
    pub rule: Rule,
    /// The threshold of every round, unless another is set.
    pub threshold: f32,
    /// Least and greatest threshold that make sense, for those who offer a choice.
    pub range: (f32, f32),
}

/// Name of the gate that a model was trained with.
pub const TRAINED: &str = "trained";

/// The gates that any model of rounds can be run with, if the keys and values that tokens leave out allow it.
pub const GATES: [Gate; 2] = [
    Gate {
        name: "top-2-gap",
        says: "how far the most probable token is ahead of the next one: a token that is sure stops",
        measure: Measure::Head(HeadStatistic::TopTwoGap),
        rule: Rule::AtMost,
        threshold: 0.9,
        range: (0.0, 1.0),
        ..ON_ROWS
    },
    Gate {
        name: "cosine",
        says: "how little the round has turned the token's state: one that hardly turns stops",
        measure: Measure::Change(Change::Cosine),
        rule: Rule::Below,
        threshold: 0.99,
        range: (0.6, 1.0),
        ..ON_ROWS
    },
];

/// What gates of a row have in common; the measure is none.
pub(super) const ON_ROWS: Gate = Gate {
    name: "",
    says: "what the model was trained with",
    measure: Measure::Head(HeadStatistic::Largest),
    reported: None,
    moment: Moment::EachRound,
    over: Over::Row,
    first_free: true,
    rule: Rule::AtLeast,
    threshold: 0.0,
    range: (0.0, 1.0),
};

impl Gate {
    /// The one that a model was trained with: a scorer before each round.
    pub fn trained(scorer: usize) -> Self {
        Self { name: TRAINED, measure: Measure::Scorer(scorer), range: (-12.0, 12.0), ..ON_ROWS }
    }

    /// Whether it is asked before this round.
    pub fn asks(&self, round: u32) -> bool {
        self.moment == Moment::EachRound || round == 0
    }

    /// Whether thresholds and rules can be set: one number for each row and round decides.
    pub fn has_thresholds(&self) -> bool {
        self.moment == Moment::EachRound && self.over == Over::Row
    }

    /// The scorer whose scores are reported.
    pub fn reported(&self) -> Option<usize> {
        match self.measure {
            Measure::Scorer(scorer) => Some(self.reported.unwrap_or(scorer)),
            _ => self.reported,
        }
    }

    /// The scorer that decides on rows one by one.
    pub fn decider(&self) -> Option<usize> {
        match self.measure {
            Measure::Scorer(scorer) if self.over == Over::Row => Some(scorer),
            _ => None,
        }
    }

    /// How many scores there are of a token that ran `depth` of so many rounds; `forced`: its depth was the caller's.
    pub fn scores(&self, depth: u32, rounds: u32, forced: bool) -> u32 {
        match self.moment {
            Moment::Once => rounds,
            // The round that refused a token has scored it; where the caller decides, it is not asked.
            Moment::EachRound => rounds.min(depth + u32::from(!forced)),
        }
    }
}

impl Over {
    /// Rows of `n` that go on to a round; `None` where they do not compete.
    pub fn keeps(&self, round: u32, n: usize) -> Option<u32> {
        match self {
            Self::Row => None,
            Self::Text { share, .. } => Some(((share[round as usize] * n as f64).floor() as u32).max(1)),
        }
    }
}

impl Scorer {
    /// Scores of a row.
    pub fn outputs(&self) -> u32 {
        self.tensors.first().and_then(|matrices| matrices.last()).map_or(0, |(_, [outputs, _])| *outputs as u32)
    }
}

impl Measure {
    /// Whether there is a kernel for it.
    ///
    /// # Errors
    /// Its name, where there is none.
    pub(super) fn runs(self) -> Result<(), String> {
        match self {
            Self::Scorer(_) => Ok(()),
            _ if GATES.iter().any(|gate| gate.measure == self) => Ok(()),
            Self::Head(statistic) => Err(format!("{statistic:?} of the head's probabilities")),
            Self::Change(change) => Err(format!("{change:?} from one round to the next")),
            Self::Accumulated(_) => Err("a value accumulated over the rounds".into()),
        }
    }
}

impl Plan {
    /// The gates that the model can be run with, its own first.
    pub fn gates(&self) -> Vec<Gate> {
        self.gate.clone().into_iter().chain(GATES.into_iter().filter(|gate| self.admits(gate).is_ok())).collect()
    }

    /// The gate of a name.
    ///
    /// # Errors
    /// [`RequestError::Setting`] for a name that is not known, or a gate that the model cannot be run with.
    pub fn gate_named(&self, name: &str) -> Result<Gate, RequestError> {
        let gates = self.gates();
        if let Some(gate) = gates.iter().find(|gate| gate.name == name) {
            return Ok(gate.clone());
        }
        let names: Vec<&str> = gates.iter().map(|gate| gate.name).collect();
        let mut range = if names.is_empty() { "left alone".to_owned() } else { names.join(" or ") };
        match GATES.iter().find(|gate| gate.name == name).map(|gate| self.admits(gate)) {
            Some(Err(why)) => range += &format!(": this model {why}"),
            _ if name == TRAINED => range += ": this model was trained without a gate",
            _ => {}
        }
        Err(RequestError::Setting { name: "gate", value: name.to_owned(), range })
    }

    /// Whether the model can be run with a gate that it was not trained with.
    ///
    /// # Errors
    /// Why not, behind "this model".
    pub fn admits(&self, gate: &Gate) -> Result<(), String> {
        if self.n_rounds() < 2 {
            return Err("has one round".into());
        }
        if matches!(self.residual, Residual::Add { once: true, .. }) {
            return Err("weighs its rounds by the depth that is chosen before the first of them".into());
        }
        match self.missing {
            MissingKeys::FromFirst | MissingKeys::Holes => {}
            _ => {
                let why =
                    "needs the keys and values of every token in every round, which one that stops early does not make";
                return Err(why.into());
            }
        }
        gate.measure.runs().map_err(|what| format!("has a gate by {what}, which no kernel measures"))
    }
}
