//! Root-mean-square normalisation with a weight per round.
//!
//! Shader: `shaders/rows/rms_norm.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::products::gather::{self, Inputs};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct RmsNorm<'a> {
    /// `[rows, stride]`
    pub input: &'a Buffer,
    /// `[rounds, stride]`
    pub weight: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, stride]`
    pub output: &'a Inputs,
    /// [`WRITE`] or [`ADD`].
    pub mode: u32,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// A subgroup computes a row: sums need no workgroup memory, see [`by_subgroup`](crate::kernels::by_subgroup).
    pub subgroups: bool,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// `width` of the shader.
    pub width: u32,
    /// `stride` of the shader.
    pub stride: u32,
    /// `bank_stride` of the shader.
    pub bank_stride: u32,
    /// `epsilon` of the shader.
    pub epsilon: f32,
}
}

impl Kernel for RmsNorm<'_> {
    const NAME: &'static str = "rms_norm";
    type Params = Params;

    fn source(&self) -> Source {
        let reduce = if self.subgroups { crate::kernels::REDUCE_SUBGROUP } else { crate::kernels::REDUCE };
        let parts = vec![include_str!("../../../shaders/rows/rms_norm.wgsl"), reduce];
        gather::share(Source { parts, constants: vec![("MODE", self.mode)] }, self.output.gathered.as_ref(), 6)
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        let mut bindings = vec![self.input.read(), self.weight.read(), self.rows.read(), self.list.read()];
        bindings.extend(self.output.write());
        bindings
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        Some(2 * (self.params.stride / crate::kernels::SUBGROUP + 2) + 16)
    }
}

/// The rows are overwritten.
pub const WRITE: u32 = 0;
/// The rows are added to.
pub const ADD: u32 = 1;

/// CPU twin: one row, as [`WRITE`] leaves it.
pub fn cpu(input: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let squares: f64 = input.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let factor = 1.0 / (squares / input.len() as f64 + f64::from(epsilon)).sqrt();
    input.iter().zip(weight).map(|(&x, &w)| (f64::from(w) * f64::from(x) * factor) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, fill};
    use crate::kernels::padded;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        check(&device, false);
        if device.subgroups() {
            check(&device, true);
        }
    }

    #[test]
    fn rows_can_be_added_to() {
        let device = Device::open();
        let (n_rows, width) = (5, 70);
        let (input, weight, before) =
            (device.rows(n_rows, width, 1), device.rows(3, width, 2), device.rows(n_rows, width, 3));
        let (rows, list, listed) = device.every_other(n_rows, 3);
        let stride = input.stride / 4;
        device.run(&RmsNorm {
            input: &input.buffer,
            weight: &weight.buffer,
            rows: &rows,
            list: &list,
            output: &Inputs { rows: before.buffer.clone(), gathered: None },
            mode: ADD,
            n_rows,
            subgroups: false,
            params: Params { width, stride, bank_stride: stride, epsilon: 1e-5 },
        });
        let got = device.floats(&before.buffer);
        for row in 0..n_rows {
            let mut want = before.row(row).to_vec();
            if listed.contains(&row) {
                let normed = cpu(input.row(row), weight.row(row % 3), 1e-5);
                want.iter_mut().zip(normed).for_each(|(x, normed)| *x += normed);
            }
            assert_close("rms_norm", &got[(row * input.stride) as usize..][..width as usize], &want, 1e-5);
        }
    }

    fn check(device: &Device, subgroups: bool) {
        // The last has more loops than a workgroup can take turns for.
        for (n_rows, width) in [(1, 1), (3, 31), (2, 64), (5, 65), (17, 576), (560, 32_768)] {
            let stride = padded(width);
            let input = device.rows(n_rows, width, 1);
            let weight = device.rows(3, width, 2);
            let output = device.poisoned(n_rows * stride);
            let gathered = device.gpu.texture("test", u64::from(n_rows * stride) * 4).expect("texture");
            // Every other row, each at another round.
            let (rows, list, listed) = device.every_other(n_rows, 3);
            device.run(&RmsNorm {
                input: &input.buffer,
                weight: &weight.buffer,
                rows: &rows,
                list: &list,
                output: &Inputs { rows: output.clone(), gathered: subgroups.then(|| gathered.clone()) },
                mode: WRITE,
                n_rows,
                subgroups,
                params: Params { width, stride: stride / 4, bank_stride: stride / 4, epsilon: 1e-5 },
            });
            let got = device.floats(&output);
            if subgroups {
                let rows = listed.iter().flat_map(|&row| &got[(row * stride) as usize..][..stride as usize]);
                let want: Vec<f32> = rows.copied().collect();
                assert_eq!(device.texture_floats(&gathered, listed.len() as u32, stride), want);
            }
            for row in 0..n_rows {
                let found = &got[(row * stride) as usize..][..width as usize];
                if listed.contains(&row) {
                    let want = cpu(input.row(row), weight.row(row % 3), 1e-5);
                    assert_close("rms_norm", found, &want, 1e-5);
                } else {
                    assert_eq!(found, fill(width as usize), "row {row} is not in the list");
                }
            }
        }
    }
}
