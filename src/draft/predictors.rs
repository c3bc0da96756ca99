//! Networks that say when a token is settled: a predictor for each depth, and one linear for all of them.
//!
//! A predictor looks at four candidates, which the kit's jump names before any layer has run: at their logits after so many
//! rounds, at the softmax of these, and at what that has changed since the predictor before. It is to say whether the best
//! token there is the whole model's. The linear is to say the same from the raw stream.
//!
//! **Invariant:** as of a kit's other parts: what is said of them was measured on windows that they were not made from.

use nalgebra::DMatrix;

use super::calibrate::{Guess, calibrate};
use super::classifier::{Linear, Network, Samples};
use super::held_out::{Affine, Head};
use super::{HELD_OUT, is_held_out, jump_inputs, rms_normed};
use crate::engine::Engine;
use crate::engine::states::States;
use crate::error::{Error, RequestError};
use crate::network::kit::{Array, CANDIDATES, Calibration, Jump, Kit, Meta, Predictor};

/// What is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// A predictor after so many rounds each.
    pub depths: Vec<u32>,
    /// Numbers between a predictor's two linears.
    pub inner: usize,
    /// One linear for all these depths.
    pub meta: bool,
    /// Most windows to read.
    pub windows: usize,
}

/// Cases to learn from, and cases to judge by.
struct Cases {
    predictors: Vec<[Samples; 2]>,
    meta: [Samples; 2],
}

/// Adds predictors to a kit that has a jump; `progress` hears of windows as they are read.
///
/// # Errors
/// A kit without a jump, a depth that cannot be, or what [`Engine::states`] reports.
pub async fn add(
    engine: &mut Engine,
    kit: &mut Kit,
    head: &Head,
    windows: &[Vec<u32>],
    settled: &Settled,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(), Error> {
    // As many that one of them is held out, which the jump was not made from either.
    let windows = &windows[..windows.len().min(settled.windows.max(HELD_OUT))];
    let mut depths = settled.depths.clone();
    depths.sort_unstable();
    super::check_depths(&depths, kit.model.rounds)?;
    let Some(jump) = &kit.jump else {
        let (name, value, range) =
            ("predictors", "asked for".into(), "left out: the kit has no jump to name candidates".into());
        return Err(RequestError::Setting { name, value, range }.into());
    };
    let hidden = kit.model.hidden_size as usize;
    let twelve = || Samples::new(3 * CANDIDATES as usize);
    let mut cases = Cases {
        predictors: depths.iter().map(|_| [twelve(), twelve()]).collect(),
        meta: [Samples::new(hidden), Samples::new(hidden)],
    };
    engine
        .states(windows, &depths, &mut |window, states| {
            cases.take_in(&states, jump, head, settled.meta, usize::from(is_held_out(window, windows.len())));
            progress(window + 1, windows.len());
        })
        .await?;
    for (depth, [learn, judge]) in depths.iter().zip(&cases.predictors) {
        let network = Network::train(learn, settled.inner);
        let says = |index: usize| network.says(&judge.inputs[index * judge.width..][..judge.width]);
        kit.predictors.push(Predictor {
            depth: *depth,
            offline: true,
            threshold: 0.5,
            calibration: judged(judge, &says),
            first: Array::new(&[settled.inner, learn.width], network.first),
            first_bias: Array::new(&[settled.inner], network.first_bias),
            second: Array::new(&[1, settled.inner], network.second),
            second_bias: Array::new(&[1], vec![network.second_bias]),
        });
    }
    if settled.meta {
        let [learn, judge] = &cases.meta;
        let linear = Linear::train(learn, 1e-2)?;
        let says = |index: usize| linear.says(&judge.inputs[index * hidden..][..hidden]);
        let calibration = judged(judge, &says);
        kit.meta = Some(Meta {
            weight: Array::new(&[1, hidden], linear.weight),
            bias: Array::new(&[1], vec![linear.bias]),
            calibration,
        });
    }
    Ok(())
}

/// What a network is worth whose value is the confidence that the best token is settled.
fn judged(cases: &Samples, says: &dyn Fn(usize) -> f32) -> Calibration {
    let guess = |(index, right): (usize, &bool)| {
        let confidence = says(index);
        // A value of 1 is no doubt; of the distribution nothing else is known.
        Guess { right: *right, entropy: 1.0 - confidence, confidence }
    };
    let guesses: Vec<Guess> = cases.answers.iter().enumerate().map(guess).collect();
    let mut made = calibrate(&guesses);
    made.thresholds.iter_mut().for_each(|threshold| threshold.entropy = None);
    made
}

impl Cases {
    /// Takes in a window's tokens from the second on; `part` is 1 for those to judge by.
    fn take_in(&mut self, states: &States, jump: &Jump, head: &Head, meta: bool, part: usize) {
        let hidden = jump.bias.values.len();
        let inputs: Vec<Vec<f32>> = jump_inputs(states, hidden).collect();
        if inputs.is_empty() {
            return;
        }
        let map = Affine::new(&jump.weight.values, &jump.bias.values);
        let first = head.logits(&map.of(&DMatrix::from_vec(2 * hidden, inputs.len(), inputs.concat())));
        let candidates: Vec<Vec<usize>> = first.column_iter().map(|column| best(column.as_slice())).collect();
        let mut before: Vec<Option<Vec<f32>>> = vec![None; inputs.len()];
        for ([learn, judge], stream) in self.predictors.iter_mut().zip(&states.rounds) {
            let samples = if part == 0 { learn } else { judge };
            let rows = || stream.chunks_exact(hidden).skip(1);
            let normed: Vec<f32> = rows().flat_map(|row| head.normed(&rms_normed(row, head.epsilon()))).collect();
            let logits = head.logits(&DMatrix::from_vec(hidden, inputs.len(), normed));
            for (at, column) in logits.column_iter().enumerate() {
                let own: Vec<f32> = candidates[at].iter().map(|token| column[*token]).collect();
                let shares = softmax(&own);
                let change = before[at].as_ref().map_or_else(
                    || shares.clone(),
                    |before| shares.iter().zip(before).map(|(share, before)| share - before).collect(),
                );
                let settled = best(column.as_slice())[0] as u32 == states.best[at + 1];
                samples.add(&[&own[..], &shares, &change].concat(), settled);
                if meta {
                    self.meta[part].add(&stream[(at + 1) * hidden..][..hidden], settled);
                }
                before[at] = Some(shares);
            }
        }
    }
}

/// The tokens with the largest logits, the largest first; as many as there are candidates.
fn best(logits: &[f32]) -> Vec<usize> {
    let mut found: Vec<usize> = vec![];
    for (token, logit) in logits.iter().enumerate() {
        let place = found.iter().position(|other| *logit > logits[*other]).unwrap_or(found.len());
        if place < CANDIDATES as usize {
            found.insert(place, token);
            found.truncate(CANDIDATES as usize);
        }
    }
    // A head of fewer rows names its last one again.
    while let Some(last) = found.last().copied().filter(|_| found.len() < CANDIDATES as usize) {
        found.push(last);
    }
    found
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
    logits.iter().map(|logit| (logit - most).exp() / sum).collect()
}

#[test]
fn candidates_are_the_best_in_order() {
    assert_eq!(best(&[1.0, 5.0, 3.0, 5.0, 4.0, 0.0]), [1, 3, 4, 2]);
    assert_eq!(best(&[1.0, 2.0]), [1, 0, 0, 0]);
    let shares = softmax(&[1.0, 1.0, 1.0, f32::NEG_INFINITY]);
    assert!((shares[0] - 1.0 / 3.0).abs() < 1e-6 && shares[3] == 0.0);
}
