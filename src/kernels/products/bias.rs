//! The bias of a linear, added to what the matrix kernels wrote.
//!
//! Shader: `shaders/products/bias.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Bias<'a> {
    /// `[outputs or more]`
    pub bias: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, stride]`
    pub output: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Outputs of the linear.
    pub outputs: u32,
    /// Numbers per output row.
    pub stride: u32,
}
}

impl Kernel for Bias<'_> {
    const NAME: &'static str = "bias";
    type Params = Params;

    fn source(&self) -> Source {
        Source::plain(include_str!("../../../shaders/products/bias.wgsl"))
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.bias.read(), self.list.read(), self.output.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.params.outputs.div_ceil(64), 1]
    }
}

/// CPU twin: one row.
pub fn cpu(bias: &[f32], output: &mut [f32]) {
    for (x, &b) in output.iter_mut().zip(bias) {
        *x += b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, outputs, beyond) in [(1, 1, 0), (3, 63, 5), (2, 64, 0), (5, 65, 1), (17, 576, 3)] {
            let bias = numbers(outputs as usize + 2, 61);
            let output = device.rows(n_rows, outputs + beyond, 62);
            let (_, list, listed) = device.every_other(n_rows, 1);
            let params = Params { outputs, stride: output.stride };
            device.run(&Bias { bias: &device.upload(&bias), list: &list, output: &output.buffer, n_rows, params });
            let got = device.floats(&output.buffer);
            for row in 0..n_rows {
                let mut want = output.row(row).to_vec();
                if listed.contains(&row) {
                    cpu(&bias[..outputs as usize], &mut want);
                }
                assert_close("bias", &got[(row * output.stride) as usize..][..want.len()], &want, 0.0);
            }
        }
    }
}
