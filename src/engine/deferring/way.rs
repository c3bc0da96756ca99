//! Ways to put deeper layers off, as a caller chooses.

use crate::engine::drafters::ReadoutSource;
use crate::error::RequestError;
use crate::network::exit::{ExitChoice, ExitHead, ExitMode, Learnt};

/// How deeper layers are put off, on a plain stack, where each layer is a round.
#[derive(Debug, Clone, PartialEq)]
pub enum Deferring {
    /// FREE: behind the first `rounds` a token is told where the two largest probabilities differ by more than a threshold; its row
    /// waits there, until one that is not sure brings all of them through the other layers.
    Once {
        /// Rounds before the exit.
        rounds: u32,
        /// The threshold, 0 to 1; of sequences before the first fit, where it is fitted.
        threshold: f32,
        /// Fitted at the start of each sequence to passes of all layers that were logged.
        fitted: Option<Logged>,
        /// Rows that may wait; the next one goes deeper untested. None: as many as there is room for.
        most: Option<u32>,
    },
    /// EE-LLM: the same behind several layers, where the largest probability is at least so large; rows that wait enter anew with
    /// every token.
    Several {
        /// Rounds before each exit, in ascending order, and what makes a final state there.
        exits: Vec<(u32, ReadoutSource)>,
        /// 0: always; 1: never.
        least_probability: f32,
        /// As above.
        most: Option<u32>,
    },
    /// LayerSkip without a check: prompts run all rounds, each token that is written the first ones. The cache has no entries of
    /// written tokens in the other layers.
    First {
        /// Rounds of a written token.
        rounds: u32,
    },
}

/// Which passes of all layers a threshold is fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logged {
    /// Those that brought waiting rows along.
    Waiting,
    /// Each.
    All,
}

impl Deferring {
    /// What a mode comes to for a model of so many layers; none where it does not put layers off.
    ///
    /// # Errors
    /// [`RequestError::Setting`] for LayerSkip without its layer.
    pub(in crate::engine) fn of(choice: &ExitChoice, rounds: u32) -> Result<Option<Self>, RequestError> {
        let probes = choice.probes.as_deref().unwrap_or_default();
        let threshold = |usual| choice.threshold.or(probes.first().map(|probe| probe.threshold)).unwrap_or(usual);
        let first = probes.first().map_or((rounds / 4).max(1), |probe| probe.depth);
        let once = |fitted| Self::Once { rounds: first, threshold: threshold(0.9), fitted, most: None };
        match choice.mode {
            ExitMode::Free => Ok(Some(once(None))),
            ExitMode::FreeAdaptive => Ok(Some(once(Some(Logged::Waiting)))),
            ExitMode::EeLlm => {
                let exits = several_exits(choice, rounds);
                Ok(Some(Self::Several { exits, least_probability: threshold(0.8), most: None }))
            }
            ExitMode::LayerSkip => match (choice.threshold, probes.first()) {
                (Some(layers), _) if layers >= 1.0 && layers.fract() == 0.0 => {
                    Ok(Some(Self::First { rounds: layers as u32 }))
                }
                (None, Some(probe)) => Ok(Some(Self::First { rounds: probe.depth })),
                (asked, _) => Err(RequestError::Setting {
                    name: "exit",
                    value: asked.map_or("layerskip".into(), |asked| format!("layerskip={asked}")),
                    range: format!("said with the number of its layers, as in `layerskip={}`", (rounds / 2).max(1)),
                }),
            },
            _ => Ok(None),
        }
    }

    pub(super) fn logged(&self) -> Option<Logged> {
        if let Self::Once { fitted, .. } = self { *fitted } else { None }
    }

    pub(super) fn rounds(&self) -> Vec<u32> {
        match self {
            Self::Once { rounds, .. } | Self::First { rounds } => vec![*rounds],
            Self::Several { exits, .. } => exits.iter().map(|exit| exit.0).collect(),
        }
    }

    pub(super) fn most(&self) -> Option<u32> {
        match self {
            Self::Once { most, .. } | Self::Several { most, .. } => *most,
            Self::First { .. } => None,
        }
    }

    /// The threshold as the GPU compares with it.
    pub(super) fn threshold(&self) -> f32 {
        match self {
            Self::Once { threshold, .. } => *threshold,
            Self::Several { least_probability, .. } if *least_probability <= 0.0 => -1e30,
            Self::Several { least_probability, .. } if *least_probability >= 1.0 => 1e30,
            Self::Several { least_probability, .. } => least_probability.ln(),
            Self::First { .. } => 0.0,
        }
    }

    /// Refuses what the model, or the room, does not allow.
    pub(super) fn check(&self, model_rounds: u32, room: u32) -> Result<(), RequestError> {
        let refuse = |name, value: String, range: String| Err(RequestError::Setting { name, value, range });
        let rounds = self.rounds();
        let ordered = rounds.iter().zip(rounds.iter().skip(1)).all(|(one, next)| one < next);
        if rounds.is_empty() || rounds[0] == 0 || rounds.iter().any(|one| *one >= model_rounds) || !ordered {
            let range = format!("in ascending order, at least 1 and below {model_rounds}, the layers of this model");
            return refuse("exit layers", format!("{rounds:?}"), range);
        }
        let (Self::Once { threshold: asked, .. } | Self::Several { least_probability: asked, .. }) = self else {
            return Ok(());
        };
        if !(0.0..=1.0).contains(asked) {
            return refuse("exit threshold", asked.to_string(), "between 0 and 1".into());
        }
        if room == 0 {
            let range = "0: no room was made for any when the model was loaded (EngineOptions::deferred)";
            return refuse("tokens that wait", "some".into(), range.into());
        }
        match self.most() {
            Some(most) if most == 0 || most > room => {
                refuse("tokens that wait", most.to_string(), format!("between 1 and {room}, for which room was made"))
            }
            _ => Ok(()),
        }
    }
}

/// Exits of EE-LLM: those with heads of their own, or those that are asked for, or behind each quarter of the layers.
fn several_exits(choice: &ExitChoice, rounds: u32) -> Vec<(u32, ReadoutSource)> {
    if let Learnt::Heads(heads) = &choice.learnt {
        let own = |head: &ExitHead| ReadoutSource::Head { norm: head.norm.clone(), weight: head.weight.clone() };
        return heads.iter().map(|head| (head.depth, own(head))).collect();
    }
    let mut depths: Vec<u32> = match &choice.probes {
        Some(probes) => probes.iter().map(|probe| probe.depth).collect(),
        None => (1..4).map(|quarter| (rounds * quarter / 4).max(1)).collect(),
    };
    depths.dedup();
    depths.into_iter().map(|depth| (depth, ReadoutSource::Model)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(rounds: u32, threshold: f32, most: Option<u32>) -> Deferring {
        Deferring::Once { rounds, threshold, fitted: None, most }
    }

    #[test]
    fn what_cannot_be_put_off_is_refused() {
        assert!(free(3, 0.5, None).check(8, 7).is_ok());
        let exit = |rounds| (rounds, ReadoutSource::Model);
        let several = |exits, least_probability| Deferring::Several { exits, least_probability, most: None };
        for (how, room, word) in [
            (free(0, 0.5, None), 7, "at least 1"),
            (free(8, 0.5, None), 7, "below 8"),
            (free(3, 1.5, None), 7, "between 0 and 1"),
            (free(3, f32::NAN, None), 7, "between 0 and 1"),
            (free(3, 0.5, Some(8)), 7, "between 1 and 7"),
            (free(3, 0.5, None), 0, "no room"),
            (several(vec![], 0.5), 7, "ascending"),
            (several(vec![exit(4), exit(2)], 0.5), 7, "ascending"),
            (several(vec![exit(2), exit(4)], -0.1), 7, "between 0 and 1"),
        ] {
            let error = how.check(8, room).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn always_and_never_need_no_logarithm() {
        let of = |least_probability| Deferring::Several { exits: vec![], least_probability, most: None }.threshold();
        assert_eq!([of(0.0), of(1.0)], [-1e30, 1e30]);
        assert!((of(0.5) - 0.5f32.ln()).abs() < 1e-7);
    }
}
