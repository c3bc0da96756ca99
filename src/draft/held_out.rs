//! Judging guesses by windows that nothing was made from: how often the best of the first rows of the head is the token that
//! the whole model finds best, and how sure the guess was.

use nalgebra::DMatrix;

use super::calibrate::{Guess, calibrate};
use super::{jump_inputs, rms_normed};
use crate::engine::states::States;
use crate::error::ModelError;
use crate::network::form::Scores;
use crate::network::kit::{Calibration, Exit, Jump, Readout};
use crate::network::names::{EMBEDDING, LM_HEAD};
use crate::tensor::{TensorSource, values};

/// Rows that are multiplied at once, by one thread.
const ROWS: usize = 256;

/// The first rows of a model's head.
pub struct Head {
    /// `[rows, hidden]`
    weight: DMatrix<f32>,
    /// What becomes of logits.
    logits: Scores,
}

/// Windows that nothing was made from.
pub(super) struct HeldOut<'a> {
    pub states: &'a [States],
    pub head: &'a Head,
    pub hidden: usize,
    pub epsilon: f32,
}

impl Head {
    /// Reads the first rows of a model's head, at most as many as there are.
    ///
    /// # Errors
    /// What keeps the tensor from being read.
    pub async fn read(source: &dyn TensorSource, rows: u32, logits: Scores) -> Result<Self, ModelError> {
        let name = if source.info(LM_HEAD)?.is_some() { LM_HEAD } else { EMBEDDING };
        let missing = || ModelError::MissingTensor { name: name.into(), because: "every model has a head".into() };
        let tensor = source.rows(name, 0..rows as usize).await?.ok_or_else(missing)?;
        let [rows, hidden] = tensor.shape[..] else { return Err(missing()) };
        Ok(Self { weight: DMatrix::from_row_slice(rows, hidden, &values(&tensor)), logits })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.weight.nrows()
    }
}

impl HeldOut<'_> {
    /// What a jump is worth.
    pub fn judge_jump(&self, jump: &Jump) -> Calibration {
        let map = Affine::new(&jump.weight.values, &jump.bias.values);
        let inputs: Vec<Vec<f32>> = self.states.iter().flat_map(|states| jump_inputs(states, self.hidden)).collect();
        let wanted: Vec<u32> = self.states.iter().flat_map(|states| states.best.iter().skip(1).copied()).collect();
        let read = |inputs: &DMatrix<f32>| logits(self.head, &map.of(inputs));
        calibrate(&guesses(&inputs, &wanted, &read, self.head.logits))
    }

    /// What an exit is worth whose streams stand at that place.
    pub fn judge_exit(&self, exit: &Exit, place: usize) -> Calibration {
        let rows = self.states.iter().flat_map(|states| states.rounds[place].chunks_exact(self.hidden));
        let scaled = |row: &[f32]| -> Vec<f32> {
            rms_normed(row, self.epsilon).iter().zip(&exit.norm.values).map(|(x, norm)| x * norm).collect()
        };
        let inputs: Vec<Vec<f32>> = rows.map(scaled).collect();
        let wanted: Vec<u32> = self.states.iter().flat_map(|states| states.best.iter().copied()).collect();
        match &exit.readout {
            Readout::State { weight, bias } => {
                let map = Affine::new(&weight.values, &bias.values);
                let read = |inputs: &DMatrix<f32>| logits(self.head, &map.of(inputs));
                calibrate(&guesses(&inputs, &wanted, &read, self.head.logits))
            }
            Readout::Logits { head } => {
                let head = DMatrix::from_row_slice(head.shape[0], self.hidden, &head.values);
                let plain = Scores { scale: 1.0, cap: None };
                calibrate(&guesses(&inputs, &wanted, &|inputs| &head * inputs, plain))
            }
        }
    }
}

/// A matrix and a bias.
struct Affine {
    weight: DMatrix<f32>,
    bias: Vec<f32>,
}

impl Affine {
    fn new(weight: &[f32], bias: &[f32]) -> Self {
        let inputs = weight.len() / bias.len().max(1);
        Self { weight: DMatrix::from_row_slice(bias.len(), inputs, weight), bias: bias.to_vec() }
    }

    /// Of inputs that are columns.
    fn of(&self, inputs: &DMatrix<f32>) -> DMatrix<f32> {
        let mut made = &self.weight * inputs;
        for mut column in made.column_iter_mut() {
            column.iter_mut().zip(&self.bias).for_each(|(x, bias)| *x += bias);
        }
        made
    }
}

fn logits(head: &Head, states: &DMatrix<f32>) -> DMatrix<f32> {
    &head.weight * states
}

/// The guess at every row, several threads side by side.
fn guesses(
    inputs: &[Vec<f32>],
    wanted: &[u32],
    read: &(dyn Fn(&DMatrix<f32>) -> DMatrix<f32> + Sync),
    scores: Scores,
) -> Vec<Guess> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = inputs.len().div_ceil(threads).max(1);
    let some = |(inputs, wanted): (&[Vec<f32>], &[u32])| -> Vec<Guess> {
        let width = inputs.first().map_or(0, Vec::len);
        let pieces = inputs.chunks(ROWS).zip(wanted.chunks(ROWS)).flat_map(|(inputs, wanted)| {
            let logits = read(&DMatrix::from_vec(width, inputs.len(), inputs.concat()));
            let guess = |(column, wanted): (usize, &u32)| {
                let column = logits.column(column);
                Guess::of(column.iter().map(|logit| scored(*logit, scores)), *wanted)
            };
            wanted.iter().enumerate().map(guess).collect::<Vec<_>>()
        });
        pieces.collect()
    };
    std::thread::scope(|scope| {
        let parts = inputs.chunks(share).zip(wanted.chunks(share));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || some(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

fn scored(logit: f32, Scores { scale, cap }: Scores) -> f32 {
    match cap {
        Some(cap) => cap * (scale * logit / cap).tanh(),
        None => scale * logit,
    }
}
