//! Second half of a low-rank adapter: adds its output to that of the shared matrix.
//!
//! Shader: `shaders/products/lora_up.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct LoraUp<'a> {
    /// `[rows, inner_stride]`
    pub inner: &'a Buffer,
    /// `[rounds, rank, outputs]`
    pub weight: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, output_stride]`
    pub output: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// `outputs` of the shader.
    pub outputs: u32,
    /// `rank` of the shader.
    pub rank: u32,
    /// `bank_stride` of the shader.
    pub bank_stride: u32,
    /// `inner_stride` of the shader.
    pub inner_stride: u32,
    /// `output_stride` of the shader.
    pub output_stride: u32,
    /// `output_offset` of the shader.
    pub output_offset: u32,
    /// `scale` of the shader.
    pub scale: f32,
}
}

impl Kernel for LoraUp<'_> {
    const NAME: &'static str = "lora_up";
    type Params = Params;

    fn source(&self) -> Source {
        Source::plain(include_str!("../../../shaders/products/lora_up.wgsl"))
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.inner.read(), self.weight.read(), self.rows.read(), self.list.read(), self.output.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.params.outputs.div_ceil(64), 1]
    }
}

/// CPU twin: one row; `weight` is `[rank, outputs]`.
pub fn cpu(inner: &[f32], weight: &[f32], scale: f32, output: &mut [f32]) {
    let outputs = output.len();
    for (i, out) in output.iter_mut().enumerate() {
        let sum: f64 = inner.iter().enumerate().map(|(r, &x)| f64::from(weight[r * outputs + i]) * f64::from(x)).sum();
        *out = (f64::from(*out) + f64::from(scale) * sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, outputs, rank) in [(1, 1, 1), (3, 63, 4), (5, 300, 17)] {
            let inner = device.rows(n_rows, rank, 11);
            let weight = numbers((3 * rank * outputs) as usize, 12);
            let weights = device.upload(&weight);
            // The output begins at an offset, as v does behind q and k.
            let before = device.rows(n_rows, outputs + 5, 13);
            let (rows, list, listed) = device.every_other(n_rows, 3);
            let params = Params {
                outputs,
                rank,
                bank_stride: rank * outputs,
                inner_stride: inner.stride,
                output_stride: before.stride,
                output_offset: 5,
                scale: 2.0,
            };
            let (input, output) = (&inner.buffer, &before.buffer);
            device.run(&LoraUp { inner: input, weight: &weights, rows: &rows, list: &list, output, n_rows, params });
            let got = device.floats(&before.buffer);
            for row in 0..n_rows {
                let mut want = before.row(row).to_vec();
                if listed.contains(&row) {
                    let bank = &weight[(row % 3 * rank * outputs) as usize..][..(rank * outputs) as usize];
                    cpu(inner.row(row), bank, 2.0, &mut want[5..]);
                }
                assert_close("lora_up", &got[(row * before.stride) as usize..][..want.len()], &want, 1e-5);
            }
        }
    }
}
