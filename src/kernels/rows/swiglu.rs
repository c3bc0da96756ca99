//! The gated activation of the feed-forward part.
//!
//! Shader: `shaders/rows/swiglu.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::products::gather::{self, Inputs};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Swiglu<'a> {
    /// `[rows, input_stride]`: gate, then up
    pub input: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, output_stride]`
    pub output: &'a Inputs,
    /// GELU instead of SiLU.
    pub gelu: bool,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// `width` of the shader.
    pub width: u32,
    /// `input_stride` of the shader.
    pub input_stride: u32,
    /// `output_stride` of the shader.
    pub output_stride: u32,
}
}

impl Kernel for Swiglu<'_> {
    const NAME: &'static str = "swiglu";
    type Params = Params;

    fn source(&self) -> Source {
        let parts = vec![include_str!("../../../shaders/rows/swiglu.wgsl"), crate::kernels::ACTIVATE];
        gather::share(Source { parts, constants: vec![("GELU", self.gelu.into())] }, self.output.gathered.as_ref(), 4)
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        let mut bindings = vec![self.input.read(), self.list.read()];
        bindings.extend(self.output.write());
        bindings
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.params.output_stride.div_ceil(64), 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        // The turn, and four numbers of a vector.
        Some(6)
    }
}

/// CPU twin: one row.
pub fn cpu(gate: &[f32], up: &[f32], gelu: bool) -> Vec<f32> {
    let act = |x: f64| match gelu {
        true => x * 0.5 * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        false => x / (1.0 + (-x).exp()),
    };
    gate.iter().zip(up).map(|(&g, &u)| (act(f64::from(g)) * f64::from(u)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, fill};
    use crate::kernels::padded;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, width, gelu) in
            [(1, 1, false), (3, 63, true), (2, 64, false), (5, 65, false), (4, 1536, true), (4, 1536, false)]
        {
            let mut input = device.rows(n_rows, 2 * width, 3);
            input.values[0] = -200.0; // where the plain formula would overflow
            let input = device.again(input);
            let stride = padded(width);
            let output = device.poisoned(n_rows * stride);
            let (_, list, listed) = device.every_other(n_rows, 1);
            let texture = device.gpu.texture("test", u64::from(n_rows * stride) * 4).expect("texture");
            let params = Params { width, input_stride: input.stride, output_stride: stride / 4 };
            for gathered in [None, Some(texture.clone())] {
                device.run(&Swiglu {
                    input: &input.buffer,
                    list: &list,
                    output: &Inputs { rows: output.clone(), gathered },
                    gelu,
                    n_rows,
                    params,
                });
            }
            let got = device.floats(&output);
            let shared = device.texture_floats(&texture, listed.len() as u32, stride);
            for (place, &row) in listed.iter().enumerate() {
                let place = &shared[place * stride as usize..][..stride as usize];
                assert_eq!(place, &got[(row * stride) as usize..][..stride as usize]);
                assert!(place[width as usize..].iter().all(|&x| x == 0.0), "padding is not zero");
            }
            for row in 0..n_rows {
                let found = &got[(row * stride) as usize..][..width as usize];
                let (gate, up) = input.row(row).split_at(width as usize);
                let want = if listed.contains(&row) { cpu(gate, up, gelu) } else { fill(width as usize) };
                assert_close("swiglu", found, &want, 1e-5);
            }
        }
    }
}
