//! Judging guesses by windows that nothing was made from: how often the best of the first rows of the head is the token that
//! the whole model finds best, and how sure the guess was.

use std::panic::resume_unwind;

use nalgebra::DMatrix;

use super::calibrate::{Guess, calibrate};
use super::{jump_inputs, rms_normed};
use crate::engine::states::States;
use crate::error::ModelError;
use crate::network::form::{self, Form, Scores};
use crate::network::kit::{Calibration, Exit, Jump, Readout};
use crate::network::names::{EMBEDDING, FINAL_NORM, LM_HEAD};
use crate::tensor::{TensorSource, values};

/// Rows that are multiplied at once, by one thread.
const ROWS: usize = 256;

/// The first rows of a model's head.
pub struct Head {
    /// `[rows, hidden]`
    weight: DMatrix<f32>,
    /// What becomes of logits.
    scores: Scores,
    /// Factors of the norm in front of it.
    norm: Vec<f32>,
    /// What keeps that norm from dividing by zero.
    epsilon: f32,
}

/// Windows that nothing was made from.
pub(super) struct HeldOut<'a> {
    pub states: &'a [States],
    pub head: &'a Head,
    pub hidden: usize,
}

impl Head {
    /// Reads the first rows of a model's head, at most as many as there are, and the norm in front of it.
    ///
    /// # Errors
    /// What keeps the tensor from being read.
    pub async fn read(source: &dyn TensorSource, rows: u32, form: &Form) -> Result<Self, ModelError> {
        let name = if source.info(LM_HEAD)?.is_some() { LM_HEAD } else { EMBEDDING };
        let missing = |name: &str| ModelError::MissingTensor {
            name: name.into(),
            because: "every model has a head and a norm before it".into(),
        };
        let norm = source.rows(FINAL_NORM, 0..usize::MAX).await?.ok_or_else(|| missing(FINAL_NORM))?;
        let form::Norm { kind, epsilon } = form.final_norm;
        let norm = values(&norm).iter().map(|weight| weight + kind.offset()).collect();
        let tensor = source.rows(name, 0..rows as usize).await?.ok_or_else(|| missing(name))?;
        let [rows, hidden] = tensor.shape[..] else { return Err(missing(name)) };
        let weight = DMatrix::from_row_slice(rows, hidden, &values(&tensor));
        Ok(Self { weight, scores: form.logits, norm, epsilon })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.weight.nrows()
    }

    /// What keeps the final norm from dividing by zero.
    pub(super) fn epsilon(&self) -> f32 {
        self.epsilon
    }

    /// A row behind a norm without factors, with those of the final norm.
    pub(super) fn normed(&self, row: &[f32]) -> Vec<f32> {
        row.iter().zip(&self.norm).map(|(x, norm)| x * norm).collect()
    }

    /// Logits of final states, which are columns; as they are when tokens are drawn.
    pub(super) fn logits(&self, states: &DMatrix<f32>) -> DMatrix<f32> {
        let mut logits = &self.weight * states;
        if self.scores != (Scores { scale: 1.0, cap: None }) {
            logits.iter_mut().for_each(|logit| *logit = scored(*logit, self.scores));
        }
        logits
    }
}

impl HeldOut<'_> {
    /// What a jump is worth.
    pub fn judge_jump(&self, jump: &Jump) -> Calibration {
        let map = Affine::new(&jump.weight.values, &jump.bias.values);
        let inputs: Vec<Vec<f32>> = self.states.iter().flat_map(|states| jump_inputs(states, self.hidden)).collect();
        let wanted: Vec<u32> = self.states.iter().flat_map(|states| states.best.iter().skip(1).copied()).collect();
        calibrate(&guesses(&inputs, &wanted, &|inputs| self.head.logits(&map.of(inputs))))
    }

    /// What an exit is worth whose streams stand at that place.
    pub fn judge_exit(&self, exit: &Exit, place: usize) -> Calibration {
        let rows = self.states.iter().flat_map(|states| states.rounds[place].chunks_exact(self.hidden));
        let scaled = |row: &[f32]| -> Vec<f32> {
            rms_normed(row, self.head.epsilon).iter().zip(&exit.norm.values).map(|(x, norm)| x * norm).collect()
        };
        let inputs: Vec<Vec<f32>> = rows.map(scaled).collect();
        let wanted: Vec<u32> = self.states.iter().flat_map(|states| states.best.iter().copied()).collect();
        match &exit.readout {
            Readout::State { weight, bias } => {
                let map = Affine::new(&weight.values, &bias.values);
                calibrate(&guesses(&inputs, &wanted, &|inputs| self.head.logits(&map.of(inputs))))
            }
            Readout::Logits { head } => {
                let head = DMatrix::from_row_slice(head.shape[0], self.hidden, &head.values);
                calibrate(&guesses(&inputs, &wanted, &|inputs| &head * inputs))
            }
        }
    }
}

/// A matrix and a bias.
pub(super) struct Affine {
    weight: DMatrix<f32>,
    bias: Vec<f32>,
}

impl Affine {
    pub(super) fn new(weight: &[f32], bias: &[f32]) -> Self {
        let inputs = weight.len() / bias.len().max(1);
        Self { weight: DMatrix::from_row_slice(bias.len(), inputs, weight), bias: bias.to_vec() }
    }

    /// Of inputs that are columns.
    pub(super) fn of(&self, inputs: &DMatrix<f32>) -> DMatrix<f32> {
        let mut made = &self.weight * inputs;
        for mut column in made.column_iter_mut() {
            column.iter_mut().zip(&self.bias).for_each(|(x, bias)| *x += bias);
        }
        made
    }
}

/// The guess at every row, several threads side by side.
fn guesses(inputs: &[Vec<f32>], wanted: &[u32], read: &(dyn Fn(&DMatrix<f32>) -> DMatrix<f32> + Sync)) -> Vec<Guess> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = inputs.len().div_ceil(threads).max(1);
    let some = |(inputs, wanted): (&[Vec<f32>], &[u32])| -> Vec<Guess> {
        let width = inputs.first().map_or(0, Vec::len);
        let pieces = inputs.chunks(ROWS).zip(wanted.chunks(ROWS)).flat_map(|(inputs, wanted)| {
            let logits = read(&DMatrix::from_vec(width, inputs.len(), inputs.concat()));
            let guess = |(column, wanted): (usize, &u32)| Guess::of(logits.column(column).iter().copied(), *wanted);
            wanted.iter().enumerate().map(guess).collect::<Vec<_>>()
        });
        pieces.collect()
    };
    std::thread::scope(|scope| {
        let parts = inputs.chunks(share).zip(wanted.chunks(share));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || some(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

fn scored(logit: f32, Scores { scale, cap }: Scores) -> f32 {
    match cap {
        Some(cap) => cap * (scale * logit / cap).tanh(),
        None => scale * logit,
    }
}
