//! First half of a low-rank adapter: the row's round picks the matrix.
//!
//! Shader: `shaders/products/lora_down.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct LoraDown<'a> {
    /// `[rows, stride]`
    pub input: &'a Buffer,
    /// `[rounds, rank, stride]`
    pub weight: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, inner_stride]`
    pub inner: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// `stride` of the shader.
    pub stride: u32,
    /// `rank` of the shader.
    pub rank: u32,
    /// `bank_stride` of the shader.
    pub bank_stride: u32,
    /// `inner_stride` of the shader.
    pub inner_stride: u32,
}
}

impl Kernel for LoraDown<'_> {
    const NAME: &'static str = "lora_down";
    type Params = Params;

    fn source(&self) -> Source {
        Source {
            parts: vec![include_str!("../../../shaders/products/lora_down.wgsl"), crate::kernels::REDUCE],
            constants: vec![],
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.input.read(), self.weight.read(), self.rows.read(), self.list.read(), self.inner.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.params.rank, 1]
    }
}

/// CPU twin: one row; `weight` is `[rank, columns]`.
pub fn cpu(input: &[f32], weight: &[f32]) -> Vec<f32> {
    let dot = |a: &[f32]| a.iter().zip(input).map(|(&a, &x)| f64::from(a) * f64::from(x)).sum::<f64>() as f32;
    weight.chunks_exact(input.len()).map(dot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, fill};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, width, rank) in [(1, 1, 1), (3, 63, 4), (5, 300, 17)] {
            let input = device.rows(n_rows, width, 9);
            let weight = device.rows(3 * rank, width, 10);
            let inner = device.poisoned(n_rows * rank);
            let (rows, list, listed) = device.every_other(n_rows, 3);
            let stride = input.stride / 4;
            let params = Params { stride, rank, bank_stride: rank * stride, inner_stride: rank };
            let weights = &weight.buffer;
            device.run(&LoraDown {
                input: &input.buffer,
                weight: weights,
                rows: &rows,
                list: &list,
                inner: &inner,
                n_rows,
                params,
            });
            let got = device.floats(&inner);
            for row in 0..n_rows {
                let bank: Vec<f32> = (0..rank).flat_map(|r| weight.row(row % 3 * rank + r).to_vec()).collect();
                let want = if listed.contains(&row) { cpu(input.row(row), &bank) } else { fill(rank as usize) };
                assert_close("lora_down", &got[(row * rank) as usize..][..rank as usize], &want, 1e-5);
            }
        }
    }
}
