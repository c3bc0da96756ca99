//! Ways to leave a plain stack of layers early, as data: their names, what each measures, where, and by which rule.
//!
//! All of them change what is written (lossy), so each runs only where a caller asks for it by name. A mode that leaves within a
//! pass is a [`Gate`] that is asked behind some layers, its [probes](ExitProbe), and a word on the keys and values of the layers that a token
//! leaves out ([`MissingKeys`]).
//!
//! **Invariant:** data only; a further mode is a further name in [`ExitMode::ALL`] and what runs it.

use std::str::FromStr;

use crate::depth::policy::Rule;
use crate::error::RequestError;
use crate::network::gate::{Change, Gate, HeadStatistic, Measure, ON_ROWS};
use crate::network::plan::{MissingKeys, Plan, Residual};

/// A way to leave early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitMode {
    /// CALM: how far the best token is ahead of the next one.
    CalmGap,
    /// CALM: how probable the best token is.
    CalmMax,
    /// CALM: how little the state has turned since the probe before.
    CalmState,
    /// CALM: what one small head, trained for it, says of the state.
    CalmMeta,
    /// Valade 2024: the entropy of heads of their own.
    Valade,
    /// SpecEE: small predictors over the logits of a few candidates, confirmed by the whole head.
    Specee,
    /// FREE: one shallow exit; tokens that left are made up for by the next deep pass.
    Free,
    /// FREE with a threshold that is fitted to what deep passes say.
    FreeAdaptive,
    /// EE-LLM: tokens that left are fed anew with the next one.
    EeLlm,
    /// LayerSkip without a check: all tokens leave at one depth.
    #[serde(rename = "layerskip")]
    LayerSkip,
}

impl ExitMode {
    /// Every mode.
    pub const ALL: [Self; 10] = [
        Self::CalmGap,
        Self::CalmMax,
        Self::CalmState,
        Self::CalmMeta,
        Self::Valade,
        Self::Specee,
        Self::Free,
        Self::FreeAdaptive,
        Self::EeLlm,
        Self::LayerSkip,
    ];

    /// Its name where one is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Self::CalmGap => "calm-gap",
            Self::CalmMax => "calm-max",
            Self::CalmState => "calm-state",
            Self::CalmMeta => "calm-meta",
            Self::Valade => "valade",
            Self::Specee => "specee",
            Self::Free => "free",
            Self::FreeAdaptive => "free-adaptive",
            Self::EeLlm => "ee-llm",
            Self::LayerSkip => "layerskip",
        }
    }

    /// What it does, in words.
    pub fn says(self) -> &'static str {
        match self {
            Self::CalmGap => "CALM: a token leaves where the most probable one is far ahead of the next",
            Self::CalmMax => "CALM: a token leaves where the most probable one is probable enough",
            Self::CalmState => "CALM: a token leaves where its state hardly turns any more",
            Self::CalmMeta => "CALM: a token leaves where a small head says that it is settled",
            Self::Valade => "Valade: a token leaves at a head of its own where the entropy is low",
            Self::Specee => "SpecEE: a token leaves where a predictor says so and the whole head names a candidate",
            Self::Free => "FREE: a token leaves at one shallow exit; the next deep pass makes up for it",
            Self::FreeAdaptive => "FREE with a threshold that is fitted on the way",
            Self::EeLlm => "EE-LLM: a token leaves where the most probable one is probable enough, and is fed anew",
            Self::LayerSkip => "LayerSkip: every token leaves at one depth, unchecked",
        }
    }
}

/// Where a mode is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitProbe {
    /// Layers (rounds of a plain stack) behind which it is asked.
    pub depth: u32,
    /// What its measure is compared with.
    pub threshold: f32,
}

/// How thresholds sink within a text: `threshold * (0.9 + 0.1 * exp(-steepness * t / length))`, where `t` tokens have been
/// decided before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fade {
    /// How fast.
    pub steepness: f32,
    /// Tokens of the longest text.
    pub length: u32,
}

/// A head behind a layer, for [`ExitMode::Valade`].
#[derive(Debug, Clone, PartialEq)]
pub struct ExitHead {
    /// Layers before it.
    pub depth: u32,
    /// Weight of its norm, `[hidden]`.
    pub norm: Vec<f32>,
    /// Its matrix, `[vocabulary, hidden]`.
    pub weight: Vec<f32>,
}

/// What was trained for a mode.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Learnt {
    /// Nothing: it measures with what the model has.
    #[default]
    Nothing,
    /// One linear head over the state for all layers, for [`ExitMode::CalmMeta`].
    Meta {
        /// `[hidden]`
        weight: Vec<f32>,
        /// Added to it.
        bias: f32,
    },
    /// Heads of their own, the shallowest first.
    Heads(Vec<ExitHead>),
}

/// A mode as a caller asks for it; what is not said is the mode's own.
#[derive(Debug, Clone, PartialEq)]
pub struct ExitChoice {
    /// The mode.
    pub mode: ExitMode,
    /// Threshold of all probes.
    pub threshold: Option<f32>,
    /// Probes, in place of the mode's own; their thresholds stand.
    pub probes: Option<Vec<ExitProbe>>,
    /// How thresholds sink, in place of the mode's own; a steepness of 0 means that they do not.
    pub fade: Option<Fade>,
    /// What becomes of keys and values left out.
    pub missing: Option<MissingKeys>,
    /// What was trained for it.
    pub learnt: Learnt,
}

/// A mode that leaves within a pass, as it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    /// Which.
    pub mode: ExitMode,
    /// What is measured, and the rule by which a token goes on.
    pub gate: Gate,
    /// Where it is asked, the shallowest first.
    pub probes: Vec<ExitProbe>,
    /// How thresholds sink within a text.
    pub fade: Option<Fade>,
    /// What becomes of keys and values of the layers that a token leaves out.
    pub missing: MissingKeys,
}

impl ExitChoice {
    /// A mode as it comes.
    pub fn new(mode: ExitMode) -> Self {
        Self { mode, threshold: None, probes: None, fade: None, missing: None, learnt: Learnt::Nothing }
    }
}

/// Probes of a mode that names none: behind a quarter of the layers, and from there on every eighth of them.
fn usual_probes(rounds: u32, threshold: f32) -> Vec<ExitProbe> {
    let step = (rounds / 8).max(1) as usize;
    ((rounds / 4).max(1)..rounds).step_by(step).map(|depth| ExitProbe { depth, threshold }).collect()
}

impl Exit {
    /// What a choice comes to for a model.
    ///
    /// # Errors
    /// [`RequestError::Setting`] where the mode does not leave within a pass, lacks what was trained for it, or its probes are none
    /// of the model's.
    pub fn of(plan: &Plan, choice: &ExitChoice) -> Result<Self, RequestError> {
        let (mode, rounds) = (choice.mode, plan.n_rounds());
        let refuse = |range: String| RequestError::Setting { name: "exit", value: mode.name().into(), range };
        plan.admits_exit().map_err(|why| refuse(format!("left alone: this model {why}")))?;
        let (measure, rule, threshold) = match (mode, &choice.learnt) {
            (ExitMode::CalmGap, _) => (Measure::Head(HeadStatistic::TopTwoGap), Rule::Below, 0.9),
            (ExitMode::CalmMax, _) => (Measure::Head(HeadStatistic::Largest), Rule::Below, 0.9),
            (ExitMode::CalmState, _) => (Measure::Change(Change::Cosine), Rule::Below, 0.99),
            (ExitMode::CalmMeta, Learnt::Meta { .. }) => (Measure::Scorer(0), Rule::Below, 0.9),
            (ExitMode::Valade, Learnt::Heads(_)) => (Measure::Head(HeadStatistic::Entropy), Rule::AtLeast, 0.5),
            (ExitMode::CalmMeta, _) => return Err(refuse("given the head that was trained for it".into())),
            (ExitMode::Valade, _) => return Err(refuse("given the heads that were trained for it".into())),
            _ => return Err(refuse("another mode: this one is not built yet".into())),
        };
        let threshold = choice.threshold.unwrap_or(threshold);
        let own = match &choice.learnt {
            Learnt::Heads(heads) => heads.iter().map(|head| ExitProbe { depth: head.depth, threshold }).collect(),
            Learnt::Nothing | Learnt::Meta { .. } => usual_probes(rounds, threshold),
        };
        let probes = choice.probes.clone().unwrap_or(own);
        let order = probes.iter().map(|probe| probe.depth).chain([rounds]).collect::<Vec<_>>();
        if probes.is_empty() || order[0] == 0 || order.windows(2).any(|pair| pair[0] >= pair[1]) {
            let depths = &order[..probes.len()];
            return Err(refuse(format!("asked behind layers 1 to {}, in ascending order, not {depths:?}", rounds - 1)));
        }
        if probes.iter().any(|probe| !probe.threshold.is_finite()) {
            return Err(refuse("compared with finite thresholds".into()));
        }
        let fades = matches!(mode, ExitMode::CalmGap | ExitMode::CalmMax | ExitMode::CalmState | ExitMode::CalmMeta);
        let usual = fades.then_some(Fade { steepness: 4.0, length: 512 });
        let missing = choice.missing.unwrap_or(MissingKeys::Propagated);
        if !matches!(missing, MissingKeys::Propagated | MissingKeys::Holes) {
            return Err(refuse(format!("run with keys and values propagated or left out, not {missing:?}")));
        }
        let gate = Gate { name: mode.name(), says: mode.says(), measure, rule, threshold, ..ON_ROWS };
        Ok(Self { mode, gate, probes, fade: choice.fade.or(usual), missing })
    }

    /// Rounds that a token is granted which is asked behind so many, and goes on; behind none: before the first probe.
    pub fn next(&self, depth: u32, rounds: u32) -> u32 {
        self.probes.iter().map(|probe| probe.depth).find(|probe| *probe > depth).unwrap_or(rounds)
    }

    /// Depths of the probes at which a token was asked that ran so many rounds.
    pub fn asked(&self, depth: u32) -> impl Iterator<Item = u32> {
        self.probes.iter().map(|probe| probe.depth).filter(move |probe| *probe <= depth)
    }
}

impl Fade {
    /// What a threshold is multiplied by where `decided` tokens were decided before.
    pub fn factor(&self, decided: u32) -> f32 {
        let share = f64::from(self.steepness) * f64::from(decided) / f64::from(self.length.max(1));
        (0.9 + 0.1 * (-share).exp()) as f32
    }
}

impl FromStr for ExitChoice {
    type Err = String;

    /// `MODE` or `MODE=THRESHOLD`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (name.trim(), Some(number.trim())),
            None => (text.trim(), None),
        };
        let names = ExitMode::ALL.map(ExitMode::name);
        let mode = ExitMode::ALL.into_iter().find(|mode| mode.name() == name);
        let mode = mode.ok_or_else(|| format!("`{name}`: it must be one of {}", names.join(", ")))?;
        let threshold = match number.map(|number| number.parse::<f32>()) {
            None => None,
            Some(Ok(number)) if number.is_finite() => Some(number),
            Some(_) => return Err(format!("`{text}`: the threshold must be a number, as in `calm-gap=0.9`")),
        };
        Ok(Self { threshold, ..Self::new(mode) })
    }
}

impl Plan {
    /// Whether tokens of the model can leave early by a mode of this file.
    ///
    /// # Errors
    /// Why not, behind "this model".
    pub fn admits_exit(&self) -> Result<(), String> {
        if self.shared {
            return Err("runs the same layers again and again; its depth is a matter of a gate".into());
        }
        if self.gate.is_some() || self.together.is_some() {
            return Err("was trained with a gate, which decides on depth".into());
        }
        if self.residual != Residual::Replace || self.n_rounds() < 2 {
            return Err("is no plain stack of two layers or more".into());
        }
        Ok(())
    }

    /// Says what becomes of keys and values of rounds that a token leaves out.
    pub fn leave_out(&mut self, missing: MissingKeys) {
        self.missing = missing;
        for round in &self.rounds {
            for layer in &mut self.layers[round.layers.clone()] {
                layer.cache.holes = missing == MissingKeys::Holes;
            }
        }
    }
}

#[test]
fn a_mode_is_said_in_a_word() {
    for mode in ExitMode::ALL {
        assert_eq!(mode.name().parse(), Ok(ExitChoice::new(mode)));
    }
    let choice: ExitChoice = "valade=0.5".parse().unwrap();
    assert_eq!((choice.mode, choice.threshold), (ExitMode::Valade, Some(0.5)));
    for wrong in ["", "calm", "calm-gap=", "calm-gap=high", "free=nan"] {
        assert!(wrong.parse::<ExitChoice>().is_err(), "{wrong}");
    }
}
