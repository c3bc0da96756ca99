//! How settled a row is, by one linear head over its state.
//!
//! Shader: `shaders/exits/settled.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::REDUCE;
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Settled<'a> {
    /// `[rows, width]`
    pub stream: &'a Buffer,
    /// `[width]`
    pub weight: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Vectors per row.
    pub width: u32,
    /// Scores kept per row.
    pub rounds: u32,
    /// Rounds that the rows have run.
    pub depth: u32,
    /// Added to the product.
    pub bias: f32,
}
}

impl Kernel for Settled<'_> {
    const NAME: &'static str = "settled";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/exits/settled.wgsl"), REDUCE], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.stream.read(), self.weight.read(), self.list.read(), self.scores.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        Some(self.params.width / crate::kernels::SUBGROUP + 20)
    }
}

/// CPU twin: the score of one row.
pub fn cpu(state: &[f32], weight: &[f32], bias: f32) -> f32 {
    let sum: f64 = state.iter().zip(weight).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
    (1.0 / (1.0 + (-(sum + f64::from(bias))).exp())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for width in [32u32, 96, 576] {
            let (n_rows, rounds, depth, bias) = (23u32, 4u32, 2u32, -0.3f32);
            let (stream, weight) = (device.rows(n_rows, width, 91), device.rows(1, width, 92));
            let (_, list, listed) = device.every_other(n_rows, 1);
            let scores = device.poisoned(n_rows * rounds);
            device.run(&Settled {
                stream: &stream.buffer,
                weight: &weight.buffer,
                list: &list,
                scores: &scores,
                n_rows,
                params: Params { width: stream.stride / 4, rounds, depth, bias },
            });
            let got = device.floats(&scores);
            for row in 0..n_rows {
                let mut want = [9.0; 4];
                if listed.contains(&row) {
                    want[depth as usize] = cpu(stream.row(row), weight.row(0), bias);
                }
                assert_close("settled", &got[(row * rounds) as usize..][..rounds as usize], &want, 1e-6);
            }
        }
    }
}
