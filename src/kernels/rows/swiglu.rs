//! The gated activation of the feed-forward part.
//!
//! Shader: `shaders/rows/swiglu.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::exits::scorer::error_function;
use crate::kernels::products::gather::{self, Inputs};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Swiglu<'a> {
    /// `[rows, input_stride]`: inner, then up
    pub input: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, output_stride]`
    pub output: &'a Inputs,
    /// What the inner half goes through.
    pub activation: Activation,
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
        let (activate, constant) = self.activation.text();
        let parts = vec![include_str!("../../../shaders/rows/swiglu.wgsl"), activate];
        gather::share(Source { parts, constants: constant.into_iter().collect() }, self.output.gathered.as_ref(), 4)
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
pub fn cpu(inner: &[f32], up: &[f32], activation: Activation) -> Vec<f32> {
    inner.iter().zip(up).map(|(&g, &u)| (activation.of(f64::from(g)) * f64::from(u)) as f32).collect()
}

const GELU: &str = concat!(
    include_str!("../../../shaders/lib/activate_gelu.wgsl"),
    include_str!("../../../shaders/lib/error_function.wgsl")
);

/// What the inner half goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// GELU by its approximation with tanh.
    GeluTanh,
    /// GELU by the error function.
    Gelu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)^2`.
    ReluSquared,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Silu, Self::GeluTanh, Self::Gelu, Self::Relu, Self::ReluSquared];

    /// The part of a kernel's text that has it, and that part's constant.
    pub(crate) fn text(self) -> (&'static str, Option<(&'static str, u32)>) {
        let sigmoid = include_str!("../../../shaders/lib/activate.wgsl");
        let relu = include_str!("../../../shaders/lib/activate_relu.wgsl");
        match self {
            Self::Silu => (sigmoid, Some(("GELU", 0))),
            Self::GeluTanh => (sigmoid, Some(("GELU", 1))),
            Self::Gelu => (GELU, None),
            Self::Relu => (relu, Some(("POWER", 1))),
            Self::ReluSquared => (relu, Some(("POWER", 2))),
        }
    }

    fn of(self, x: f64) -> f64 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::GeluTanh => {
                x * 0.5 * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }
            Self::Gelu => 0.5 * x * (1.0 + error_function(x / std::f64::consts::SQRT_2)),
            Self::Relu => x.max(0.0),
            Self::ReluSquared => x.max(0.0).powi(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, fill};
    use crate::kernels::padded;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        let shapes = [(1, 1), (3, 63), (2, 64), (5, 65), (4, 1536)];
        for (n_rows, width, activation) in
            shapes.into_iter().flat_map(|(n_rows, width)| Activation::ALL.map(|activation| (n_rows, width, activation)))
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
                    activation,
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
                let (inner, up) = input.row(row).split_at(width as usize);
                let want = if listed.contains(&row) { cpu(inner, up, activation) } else { fill(width as usize) };
                assert_close("swiglu", found, &want, 1e-5);
            }
        }
    }
}
