//! What goes over the wire, in both directions: plain data.

use serde::{Deserialize, Serialize};

use super::draft::Drafting;
use super::facts::ModelFacts;
use super::lanes::Lane;
use super::load::Progress;
use super::prompt::{Prompt, Settings};
use crate::depth::policy::Rule;
use crate::engine::event::{Event, Guesser};
use crate::engine::guessing::Counts;

/// What a caller asks of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Write these sequences. With chance, each draws from a seed of its own: `settings.seed` plus its place in the list.
    Submit {
        /// Names and prompts.
        sequences: Vec<Task>,
        /// How all of them are written.
        settings: Settings,
    },
    /// End one sequence; its last event says so.
    Cancel {
        /// Its name.
        sequence: u64,
    },
    /// End all sequences, or a model's loading.
    CancelAll,
    /// Another gate decides, with its own thresholds and rule.
    Gate {
        /// Its name, of those in [`ModelFacts::gates`](super::ModelFacts::gates).
        gate: String,
    },
    /// What the gate's rule asks a score for; one number per round.
    Thresholds {
        /// First round first.
        thresholds: Vec<f32>,
    },
    /// What a score is asked for at its threshold.
    Rule {
        /// The rule.
        rule: Rule,
    },
    /// Who guesses what follows, and how many guesses are checked. Texts stay the same.
    Drafting {
        /// Who, and how many.
        drafting: Drafting,
    },
    /// Stop between two ticks, or go on.
    Pause {
        /// Stop?
        paused: bool,
    },
    /// While paused: run one tick.
    Tick,
}

/// A sequence to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The caller's name for it; one at a time may bear it.
    pub name: u64,
    /// What it begins with.
    pub prompt: Prompt,
}

/// An update, and when it was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Seconds on the caller's clock.
    pub at: f64,
    /// The update.
    #[serde(flatten)]
    pub update: Update,
}

/// What a caller is told. What concerns a race is told by [`crate::race`]; the service itself knows of none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "update", rename_all = "snake_case")]
pub enum Update {
    /// The model is on its way to the GPU.
    Loading(Progress),
    /// The model is there.
    Ready(Box<ModelFacts>),
    /// These sequences wait for a lane from now on.
    Submitted {
        /// Names and prompts.
        sequences: Vec<Task>,
    },
    /// A race between these begins; its heats follow.
    RaceBegins {
        /// Names and prompts.
        sequences: Vec<Task>,
    },
    /// Something became of a sequence.
    Sequence {
        /// Its name.
        sequence: u64,
        /// For whom it runs, in a race.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contestant: Option<Contestant>,
        /// What.
        event: Event,
    },
    /// A tick is over.
    Tick(Box<Tick>),
    /// This gate decides from now on, with its own thresholds and rule.
    Gate {
        /// Its name; `None` where every token runs all rounds.
        gate: Option<String>,
    },
    /// These thresholds hold from now on.
    Thresholds {
        /// First round first.
        thresholds: Vec<f32>,
    },
    /// This rule holds from now on.
    Rule {
        /// The rule.
        rule: Rule,
    },
    /// This holds of guesses from now on.
    Drafting {
        /// As it was asked for.
        drafting: Drafting,
        /// Who guesses, the first one first; nobody where the engine cannot guess, or shall not.
        by: Vec<Guesser>,
    },
    /// The engine stopped between two ticks, or goes on.
    Paused {
        /// Stopped?
        paused: bool,
    },
    /// A heat of a race begins.
    HeatBegins {
        /// Whose.
        contestant: Contestant,
        /// Its number, from 0; two make a pair.
        number: u32,
    },
    /// A heat of a race is over.
    HeatEnds(Heat),
    /// The race is over.
    RaceEnds,
    /// The device is gone; another is opened and the model loaded on it, and then everything goes on where it stood.
    Rebuilding {
        /// Why the device is gone.
        why: String,
        /// How far that is.
        #[serde(flatten)]
        progress: Progress,
    },
    /// Everything goes on, perhaps on another adapter.
    Rebuilt(Box<ModelFacts>),
    /// Something went wrong.
    Failed(Failure),
    /// The caller broke off the loading; the service is at its end.
    LoadingCancelled,
}

/// One tick, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Ticks since the model was loaded.
    pub number: u64,
    /// What each lane does.
    pub lanes: Vec<Lane>,
    /// Sequences without a lane.
    pub waiting: u32,
    /// Tokens written since the model was loaded.
    pub tokens: u64,
    /// Rounds run to predict them.
    pub rounds: u64,
    /// Dispatches of all ticks.
    pub dispatches: u64,
    /// Seconds since the engine was last without work, pauses left out.
    pub seconds: f64,
    /// Tokens written in that time.
    pub burst_tokens: u64,
    /// Mean depth of those that decoding predicted; 0 before the first.
    pub mean_depth: f64,
    /// The speed-up over full depth that no engine can exceed at this mean depth.
    pub ceiling: f64,
    /// Parts of the KV cache, 0 to 1: in use, and kept for later prompts.
    pub cache: [f32; 2],
    /// What came of guesses in the time of `seconds`; all zero while nobody guessed.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub guesses: Counts,
}

fn is_nothing(counts: &Counts) -> bool {
    *counts == Counts::default()
}

/// Who runs in a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contestant {
    /// Tokens go as deep as the model decides.
    Adaptive,
    /// Every token runs all rounds.
    Full,
    /// Guesses are checked.
    Guessing,
    /// Nobody guesses.
    Plain,
}

impl Contestant {
    /// Whether it is the one whose gain is asked for.
    pub fn challenges(self) -> bool {
        matches!(self, Self::Adaptive | Self::Guessing)
    }
}

/// What one turn of a race took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Heat {
    /// Whose.
    pub contestant: Contestant,
    /// Its number, from 0; two make a pair.
    pub number: u32,
    /// From the first submission to the last event.
    pub seconds: f64,
    /// Tokens written.
    pub tokens: u64,
    /// Mean depth of those that decoding predicted.
    pub mean_depth: f64,
    /// The speed-up that no engine can exceed: over full depth at this mean depth, or over no guesses with so many tokens a pass.
    pub ceiling: f64,
    /// `false` for a warm-up, and where a pause makes the time meaningless.
    pub counts: bool,
}

impl Heat {
    /// Tokens written per second.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds.max(1e-9)
    }
}

/// What went wrong: what, which, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How bad it is.
    pub kind: FailureKind,
    /// The sequence that it concerns alone.
    pub sequence: Option<u64>,
    /// In words.
    pub message: String,
}

/// How bad a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A command cannot be followed; everything else goes on.
    Refused,
    /// The model cannot be loaded; the service is at its end.
    Load,
    /// The device is gone and no other could take its place; the service is at its end. Load the model again.
    Lost,
    /// The GPU failed otherwise; the service is at its end. Load the model again.
    Gpu,
}

impl FailureKind {
    /// Whether the service is at its end.
    pub fn is_final(self) -> bool {
        self != Self::Refused
    }
}
