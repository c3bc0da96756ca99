//! Making a kit: a model reads a text, and what guesses its last state best is found in closed form.
//!
//! ```text
//! text -> windows -> Engine::states -> ridge (nine windows of ten) -> jump, exits
//!                                   -> held out (the tenth)        -> agreement, thresholds
//! ```
//!
//! A jump and a readout are the least squares of all tokens at once, so a kit takes about as long as reading the text. Only
//! what says yes or no is trained step by step, and that is small (`classifier.rs`, `predictors.rs`).
//!
//! **Invariant:** what a kit says of its parts was measured on windows that none of them was made from.

pub mod answers;
pub mod calibrate;
pub mod classifier;
mod held_out;
pub mod import;
pub mod predictors;
mod ridge;

pub use held_out::Head;
use held_out::HeldOut;
use ridge::Ridge;

use crate::engine::Engine;
use crate::engine::states::States;
use crate::error::{Error, RequestError};
use crate::network::kit::{Array, Exit, Jump, Kit, ModelFacts, Readout};

/// Every so manyeth window is held out.
const HELD_OUT: usize = 10;

/// What is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// A guess from the token before.
    pub jump: bool,
    /// Readouts after so many rounds each.
    pub exits: Vec<u32>,
    /// How strongly large weights are held back, as a share of each feature's spread.
    pub ridge: f64,
}

/// The parts that are being made.
struct Making {
    jump: Option<Ridge>,
    exits: Vec<Ridge>,
    hidden: usize,
    /// Factor against division by zero, of norms.
    epsilon: f32,
}

impl Recipe {
    /// Strength of the ridge, unless told otherwise.
    pub const RIDGE: f64 = 1e-3;

    /// Depths for readouts, unless told otherwise: a quarter, half and three quarters of the rounds.
    pub fn usual_exits(rounds: u32) -> Vec<u32> {
        let mut depths: Vec<u32> = (1..4).map(|quarter| rounds * quarter / 4).filter(|depth| *depth > 0).collect();
        depths.dedup();
        depths
    }
}

/// Makes a kit for the engine's model, whose fingerprint is in `facts`, out of the windows of a text; `head` are the rows
/// that guesses read. `progress` hears of windows as they are read, and of parts as they are judged.
///
/// # Errors
/// Fewer than two windows, a depth or a ridge that cannot be, or what [`Engine::states`] reports.
pub async fn make(
    engine: &mut Engine,
    facts: ModelFacts,
    head: &Head,
    windows: &[Vec<u32>],
    recipe: &Recipe,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Kit, Error> {
    check(windows, recipe, facts.rounds)?;
    let hidden = facts.hidden_size as usize;
    let epsilon = head.epsilon();
    let mut making = Making {
        jump: recipe.jump.then(|| Ridge::new(2 * hidden, hidden)),
        exits: recipe.exits.iter().map(|_| Ridge::new(hidden, hidden)).collect(),
        hidden,
        epsilon,
    };
    let mut held = vec![];
    let total = windows.len() + usize::from(recipe.jump) + recipe.exits.len();
    let mut done = 0;
    engine
        .states(windows, &recipe.exits, &mut |window, states| {
            if is_held_out(window, windows.len()) {
                held.push(states);
            } else {
                making.learn(&states);
            }
            done += 1;
            progress(done, total);
        })
        .await?;
    let mut kit = Kit::empty(facts, head.rows() as u32);
    making.finish(&mut kit, recipe)?;
    let held_out = HeldOut { states: &held, head, hidden };
    if let Some(jump) = &mut kit.jump {
        jump.calibration = held_out.judge_jump(jump);
        done += 1;
        progress(done, total);
    }
    for (exit, index) in kit.exits.iter_mut().zip(0..) {
        let place = recipe.exits.iter().position(|depth| *depth == exit.depth).unwrap_or(index);
        exit.calibration = held_out.judge_exit(exit, place);
        done += 1;
        progress(done, total);
    }
    Ok(kit)
}

/// Whether nothing is made from this window.
fn is_held_out(window: usize, windows: usize) -> bool {
    window % HELD_OUT == HELD_OUT - 1 || (windows < HELD_OUT && window + 1 == windows)
}

fn check(windows: &[Vec<u32>], recipe: &Recipe, rounds: u32) -> Result<(), RequestError> {
    let setting = |name, value: String, range: String| Err(RequestError::Setting { name, value, range });
    if windows.len() < 2 {
        let range = "at least 2 windows, one to learn from and one to judge by; give a longer text".to_owned();
        return setting("length of the text", format!("{} window", windows.len()), range);
    }
    if !(recipe.ridge.is_finite() && recipe.ridge > 0.0) {
        return setting("ridge", recipe.ridge.to_string(), "a number above 0".into());
    }
    check_depths(&recipe.exits, rounds)
}

/// Depths between two rounds, each once.
fn check_depths(depths: &[u32], rounds: u32) -> Result<(), RequestError> {
    let setting = |depth: &u32, range: String| {
        Err(RequestError::Setting { name: "depth of a guess", value: depth.to_string(), range })
    };
    for (index, depth) in depths.iter().enumerate() {
        if *depth == 0 || *depth >= rounds {
            let most = rounds.saturating_sub(1);
            return setting(depth, format!("between 1 and {most}, less than all rounds"));
        }
        if depths[..index].contains(depth) {
            return setting(depth, "there once".into());
        }
    }
    Ok(())
}

impl Making {
    /// Takes in the states of a window.
    fn learn(&mut self, states: &States) {
        let hidden = self.hidden;
        if let Some(jump) = &mut self.jump {
            for (input, target) in jump_inputs(states, hidden).zip(states.normed.chunks_exact(hidden).skip(1)) {
                jump.add(&input, target);
            }
        }
        for (exit, stream) in self.exits.iter_mut().zip(&states.rounds) {
            for (row, target) in stream.chunks_exact(hidden).zip(states.normed.chunks_exact(hidden)) {
                exit.add(&rms_normed(row, self.epsilon), target);
            }
        }
    }

    /// Solves for the parts.
    fn finish(self, kit: &mut Kit, recipe: &Recipe) -> Result<(), Error> {
        let hidden = self.hidden;
        if let Some(jump) = self.jump {
            let solved = jump.solve(recipe.ridge)?;
            kit.jump = Some(Jump {
                weight: Array::new(&[hidden, 2 * hidden], solved.weight),
                bias: Array::new(&[hidden], solved.bias),
                calibration: Default::default(),
            });
        }
        for (mut exit, &depth) in self.exits.into_iter().zip(&recipe.exits) {
            // The norm's factors make all features alike in size, so that the matrix keeps its digits in any type.
            let (norm, solved) = (exit.scales(), exit.solve(recipe.ridge)?);
            let weight = solved.weight.iter().zip(norm.iter().cycle()).map(|(weight, norm)| weight / norm).collect();
            let weight = Array::new(&[hidden, hidden], weight);
            kit.exits.push(Exit {
                depth,
                norm: Array::new(&[hidden], norm),
                readout: Readout::State { weight, bias: Array::new(&[hidden], solved.bias) },
                calibration: Default::default(),
            });
        }
        kit.exits.sort_by_key(|exit| exit.depth);
        Ok(())
    }
}

/// What a jump is given for each token from the second on: the final state of the one before, and its own embedding.
fn jump_inputs(states: &States, hidden: usize) -> impl Iterator<Item = Vec<f32>> {
    let before = states.normed.chunks_exact(hidden);
    before.zip(states.embedded.chunks_exact(hidden).skip(1)).map(|(state, embedded)| [state, embedded].concat())
}

/// A row divided by the root of its mean square.
fn rms_normed(row: &[f32], epsilon: f32) -> Vec<f32> {
    let square = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / row.len().max(1) as f64;
    let factor = 1.0 / (square + f64::from(epsilon)).sqrt();
    row.iter().map(|x| (f64::from(*x) * factor) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_are_quarters_of_the_rounds() {
        assert_eq!(Recipe::usual_exits(30), [7, 15, 22]);
        assert_eq!(Recipe::usual_exits(3), [1, 2]);
        assert!(Recipe::usual_exits(1).is_empty());
    }

    #[test]
    fn some_window_is_always_held_out() {
        assert!(!is_held_out(0, 2) && is_held_out(1, 2));
        let held = (0..25).filter(|window| is_held_out(*window, 25)).collect::<Vec<_>>();
        assert_eq!(held, [9, 19]);
    }
}
