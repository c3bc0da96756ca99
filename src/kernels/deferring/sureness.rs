//! The most probable token of a row, and how sure it is.
//!
//! Shader: `shaders/deferring/sureness.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::exits::head_statistic::{self, Statistic};
use crate::kernels::{DRAW, FOLD};
use crate::params;

/// [`Params::measure`]: how far it is ahead of the next one.
pub const TOP_TWO_GAP: u32 = 0;
/// [`Params::measure`]: the natural logarithm of its probability.
pub const LOG_LARGEST: u32 = 1;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Sureness<'a> {
    /// `[places, stride]`
    pub logits: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// `[rows]`
    pub best: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Number of tokens.
    pub vocabulary: u32,
    /// Numbers per row of logits.
    pub stride: u32,
    /// Scores kept per row.
    pub rounds: u32,
    /// Rounds that the listed rows have run, at least one.
    pub depth: u32,
    /// [`TOP_TWO_GAP`] or [`LOG_LARGEST`].
    pub measure: u32,
}
}

impl Kernel for Sureness<'_> {
    const NAME: &'static str = "sureness";
    type Params = Params;

    fn source(&self) -> Source {
        let own = include_str!("../../../shaders/deferring/sureness.wgsl");
        Source { parts: vec![own, Statistic::TopTwoGap.text(), DRAW, FOLD], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.logits.read(), self.list.read(), self.scores.write(), self.best.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }
}

/// CPU twin: the most probable token of one row, and how sure it is.
pub fn cpu(measure: u32, logits: &[f32]) -> (u32, f32) {
    let best = (1..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
    let top = f64::from(logits[best]);
    let sum: f64 = logits.iter().map(|x| (f64::from(*x) - top).exp()).sum();
    let gap = head_statistic::cpu(Statistic::TopTwoGap, logits);
    (best as u32, if measure == TOP_TWO_GAP { gap } else { -sum.ln() as f32 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (vocabulary, measure) in
            [(2u32, TOP_TWO_GAP), (255, LOG_LARGEST), (256, TOP_TWO_GAP), (4099, LOG_LARGEST), (4099, TOP_TWO_GAP)]
        {
            let (n_rows, rounds, depth) = (9u32, 3u32, 2u32);
            let mut logits: Vec<f32> = device.rows(n_rows, vocabulary, 71).values.iter().map(|x| x * 6.0).collect();
            // A tie is the lower token's.
            logits[1] = logits[0].max(50.0);
            logits[0] = logits[1];
            // Rows are not places.
            let listed: Vec<u32> = (0..n_rows).rev().collect();
            let list = [&[n_rows], &listed[..]].concat();
            let (scores, best) = (device.poisoned(n_rows * rounds), device.upload(&vec![77u32; n_rows as usize]));
            device.run(&Sureness {
                logits: &device.upload(&logits),
                list: &device.upload(&list),
                scores: &scores,
                best: &best,
                n_rows: n_rows + 2,
                params: Params { vocabulary, stride: vocabulary, rounds, depth, measure },
            });
            let (scores, best) = (device.floats(&scores), device.words(&best));
            for (own, row) in logits.chunks_exact(vocabulary as usize).zip(listed) {
                let (token, score) = cpu(measure, own);
                let kept = &scores[(row * rounds) as usize..][..rounds as usize];
                assert_close("sureness", kept, &[9.0, score, 9.0], 2e-6);
                assert_eq!(best[row as usize], token, "row {row} of {vocabulary} tokens");
            }
        }
    }
}
