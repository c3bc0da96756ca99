//! Moves rows between the residual stream and the block that works on them.
//!
//! Shader: `shaders/rows/combine.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Combine<'a> {
    /// `[rows, stride]`
    pub input: &'a Buffer,
    /// `[rows]`
    pub factors: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, stride]`
    pub output: &'a Buffer,
    /// [`COPY`], [`ADD_WEIGHED`] or [`ADD`].
    pub mode: u32,
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
}
}

impl Kernel for Combine<'_> {
    const NAME: &'static str = "combine";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/rows/combine.wgsl")], constants: vec![("MODE", self.mode)] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.input.read(), self.factors.read(), self.list.read(), self.output.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.params.stride.div_ceil(64), 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        Some(1)
    }
}

/// `output = input`.
pub const COPY: u32 = 0;
/// `output += factor * input`.
pub const ADD_WEIGHED: u32 = 1;
/// `output += input`.
pub const ADD: u32 = 2;

/// CPU twin: one row.
pub fn cpu(mode: u32, input: &[f32], factor: f32, output: &mut [f32]) {
    for (out, &x) in output.iter_mut().zip(input) {
        *out = match mode {
            COPY => x,
            ADD_WEIGHED => factor.mul_add(x, *out),
            _ => *out + x,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, width, mode) in
            [(1, 1, COPY), (3, 63, ADD_WEIGHED), (2, 64, ADD), (5, 300, ADD_WEIGHED), (4, 576, COPY)]
        {
            let input = device.rows(n_rows, width, 4);
            let before = device.rows(n_rows, width, 5);
            let factors = device.rows(1, n_rows, 6);
            let (_, list, listed) = device.every_other(n_rows, 1);
            let params = Params { stride: input.stride / 4 };
            let (input_buffer, factor_buffer) = (&input.buffer, &factors.buffer);
            device.run(&Combine {
                input: input_buffer,
                factors: factor_buffer,
                list: &list,
                output: &before.buffer,
                mode,
                n_rows,
                params,
            });
            let got = device.floats(&before.buffer);
            for row in 0..n_rows {
                let mut want = before.row(row).to_vec();
                if listed.contains(&row) {
                    cpu(mode, input.row(row), factors.values[row as usize], &mut want);
                }
                assert_close("combine", &got[(row * input.stride) as usize..][..width as usize], &want, 1e-6);
            }
        }
    }
}
