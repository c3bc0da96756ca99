//! `--gate`: who decides how deep tokens go, and at which thresholds.

use isobath::depth::policy::{ExitPolicy, Thresholds};
use isobath::engine::Engine;
use isobath::error::{Error, RequestError};
use pollster::block_on;

/// A gate by its name, with thresholds of one's own; the last one holds for all rounds that follow.
#[derive(Debug, Clone, PartialEq)]
pub struct GateChoice {
    name: String,
    thresholds: Vec<f32>,
}

/// `NAME` or `NAME=NUMBER[,NUMBER...]`. Which names there are is the model's matter.
pub fn gate(text: &str) -> Result<GateChoice, String> {
    let (name, numbers) = match text.split_once('=') {
        Some((name, numbers)) => (name, Some(numbers)),
        None => (text, None),
    };
    let number = |text: &str| text.trim().parse::<f32>().ok().filter(|number| number.is_finite());
    let thresholds: Option<Vec<f32>> = numbers.map_or(Some(vec![]), |numbers| numbers.split(',').map(number).collect());
    let thresholds =
        thresholds.ok_or("the thresholds must be numbers, as in `top-2-gap=0.9` or `cosine=0.99,0.995`")?;
    Ok(GateChoice { name: name.trim().to_owned(), thresholds })
}

impl GateChoice {
    /// Puts the gate in place.
    pub fn apply(&self, engine: &mut Engine) -> Result<(), Error> {
        block_on(engine.set_gate(&self.name))?;
        if self.thresholds.is_empty() {
            return Ok(());
        }
        let rounds = engine.plan().n_rounds();
        if self.thresholds.len() > rounds as usize {
            let range = format!("at most {rounds} thresholds, one for each round");
            return Err(RequestError::Setting { name: "gate", value: format!("{:?}", self.thresholds), range }.into());
        }
        let thresholds = Thresholds(self.thresholds.clone());
        let each: Vec<f32> = (0..rounds).map(|round| thresholds.threshold(round)).collect();
        Ok(engine.set_thresholds(&each)?)
    }
}

#[test]
fn a_gate_has_a_name_and_perhaps_thresholds() {
    let choice = |name: &str, thresholds: &[f32]| GateChoice { name: name.into(), thresholds: thresholds.to_vec() };
    assert_eq!(gate("cosine"), Ok(choice("cosine", &[])));
    assert_eq!(gate("top-2-gap=0.9"), Ok(choice("top-2-gap", &[0.9])));
    assert_eq!(gate("trained=0, -3.5,2"), Ok(choice("trained", &[0.0, -3.5, 2.0])));
    for wrong in ["cosine=", "cosine=high", "cosine=0.9,,1", "cosine=nan", "cosine=inf"] {
        assert!(gate(wrong).is_err(), "{wrong}");
    }
}
