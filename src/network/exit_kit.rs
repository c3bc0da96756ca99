//! From a kit to a way to leave early: what was trained, and thresholds where they were measured.

use crate::error::RequestError;
use crate::network::exit::{ExitChoice, ExitHead, ExitMode, ExitProbe, Learnt};
use crate::network::kit::{Calibration, Exit, Kit, Readout};

/// How often a token that leaves is to be that of the whole model, where a kit says from which threshold on.
const AGREEMENT: f64 = 0.9;

/// Entropy in nats below which an exit is left where the kit says nothing of it.
const ENTROPY: f32 = 0.5;

impl ExitChoice {
    /// The choice with what a kit holds for it.
    ///
    /// # Errors
    /// [`RequestError::Setting`] where the kit has nothing for the mode.
    pub fn with_kit(self, kit: &Kit) -> Result<Self, RequestError> {
        let mode = self.mode;
        let refuse =
            |range: &str| RequestError::Setting { name: "exit", value: mode.name().into(), range: range.into() };
        match mode {
            ExitMode::CalmMeta => {
                let meta = kit.meta.as_ref().ok_or_else(|| refuse("run with a kit that has a `meta` part"))?;
                let threshold = self.threshold.or_else(|| confidence(&meta.calibration));
                let bias = meta.bias.values.first().copied().unwrap_or_default();
                Ok(Self { threshold, learnt: Learnt::Meta { weight: meta.weight.values.clone(), bias }, ..self })
            }
            ExitMode::Valade => {
                let own = |exit: &Exit| own_head(exit, kit.model.vocab_size, self.threshold);
                let (probes, heads): (Vec<_>, Vec<_>) = kit.exits.iter().filter_map(own).unzip();
                if heads.is_empty() {
                    let range = "run with a kit that has exits with a head over all tokens, right often enough";
                    return Err(refuse(range));
                }
                Ok(Self { probes: Some(self.probes.unwrap_or(probes)), learnt: Learnt::Heads(heads), ..self })
            }
            _ => Err(refuse("run without a kit: it measures with what the model has")),
        }
    }
}

/// An exit's head with its threshold; none where it reads no logits of its own, or is never right often enough.
fn own_head(exit: &Exit, vocabulary: u32, threshold: Option<f32>) -> Option<(ExitProbe, ExitHead)> {
    let Readout::Logits { head } = &exit.readout else { return None };
    let measured = &exit.calibration.thresholds;
    let threshold = match threshold {
        Some(threshold) => threshold,
        None if measured.is_empty() => ENTROPY,
        None => measured.iter().find(|level| level.agreement >= AGREEMENT)?.entropy?.at,
    };
    let whole = head.shape.first() == Some(&(vocabulary as usize));
    let own = ExitHead { depth: exit.depth, norm: exit.norm.values.clone(), weight: head.values.clone() };
    whole.then_some((ExitProbe { depth: exit.depth, threshold }, own))
}

fn confidence(calibration: &Calibration) -> Option<f32> {
    calibration.thresholds.iter().find(|level| level.agreement >= AGREEMENT)?.confidence.map(|mark| mark.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::kit::{Array, LEVELS, Mark, Meta, ModelFacts, Threshold};

    fn kit() -> Kit {
        let model = ModelFacts { fingerprint: String::new(), hidden_size: 2, vocab_size: 3, layers: 4, rounds: 4 };
        Kit::empty(model, 3)
    }

    fn measured() -> Calibration {
        let mark = |at| Some(Mark { at, coverage: None });
        let level = |agreement: f64| Threshold {
            agreement,
            entropy: mark(1.0 - agreement as f32),
            confidence: mark(agreement as f32),
        };
        Calibration { thresholds: LEVELS.map(level).to_vec(), ..Calibration::default() }
    }

    fn exit(depth: u32, rows: usize, calibration: Calibration) -> Exit {
        let head = Array::new(&[rows, 2], vec![0.5; rows * 2]);
        Exit { depth, norm: Array::new(&[2], vec![1.0; 2]), readout: Readout::Logits { head }, calibration }
    }

    #[test]
    fn a_kit_brings_what_was_trained_and_its_thresholds() {
        let mut kit = kit();
        for mode in ExitMode::ALL {
            assert!(ExitChoice::new(mode).with_kit(&kit).is_err(), "{mode:?}");
        }
        let (weight, bias) = (Array::new(&[1, 2], vec![0.1, 0.2]), Array::new(&[1], vec![0.3]));
        kit.meta = Some(Meta { weight, bias, calibration: measured() });
        let choice = ExitChoice::new(ExitMode::CalmMeta).with_kit(&kit).unwrap();
        assert_eq!(choice.threshold, Some(0.9));
        assert_eq!(choice.learnt, Learnt::Meta { weight: vec![0.1, 0.2], bias: 0.3 });
        // One without a head over all tokens, one that was not measured, one that was.
        kit.exits = vec![exit(1, 2, measured()), exit(2, 3, Calibration::default()), exit(3, 3, measured())];
        let choice = ExitChoice::new(ExitMode::Valade).with_kit(&kit).unwrap();
        let probes = choice.probes.unwrap();
        assert_eq!(probes.iter().map(|probe| probe.depth).collect::<Vec<_>>(), [2, 3]);
        assert!(probes[0].threshold == ENTROPY && (probes[1].threshold - 0.1).abs() < 1e-6, "{probes:?}");
        let set = ExitChoice { threshold: Some(0.7), ..ExitChoice::new(ExitMode::Valade) };
        assert!(set.with_kit(&kit).unwrap().probes.unwrap().iter().all(|probe| probe.threshold == 0.7));
    }
}
