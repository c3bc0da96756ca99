//! Joins a state and an embedding to what a jump reads.
//!
//! Shader: `shaders/drafts/join.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Join<'a> {
    /// `[count, rows...]`, rows of lanes
    pub list: &'a Buffer,
    /// `[rows, stride]`
    pub states: &'a Buffer,
    /// `[rows, stride]`
    pub made: &'a Buffer,
    /// `[rows, stride]`
    pub hidden: &'a Buffer,
    /// `[rows, 2 * stride]`
    pub joined: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// First row of lane 0.
    pub base: u32,
    /// Rows of a lane.
    pub span: u32,
    /// Vectors per row of each part.
    pub stride: u32,
}
}

impl Kernel for Join<'_> {
    const NAME: &'static str = "join";
    type Params = Params;

    fn source(&self) -> Source {
        Source::plain(include_str!("../../../shaders/drafts/join.wgsl"))
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.list.read(), self.states.read(), self.made.read(), self.hidden.read(), self.joined.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        Some(self.params.stride.div_ceil(64) + 1)
    }
}

/// CPU twin: one row; the parts are `[rows, width]`.
pub fn cpu(params: &Params, row: usize, states: &[f32], made: &[f32], hidden: &[f32]) -> Vec<f32> {
    let width = 4 * params.stride as usize;
    let part = |numbers: &[f32], row: usize| numbers[row * width..][..width].to_vec();
    let first = (row - params.base as usize).is_multiple_of(params.span as usize);
    let state = if first { part(states, row) } else { part(made, row - 1) };
    [state, part(hidden, row)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (lanes, span, base, stride) in [(1u32, 2u32, 0u32, 1u32), (9, 4, 3, 24), (40, 9, 5, 70)] {
            let n_rows = base + lanes * span;
            let part = |seed: u64| numbers((n_rows * stride * 4) as usize, seed as _);
            let (states, made, hidden) = (part(1), part(2), part(3));
            let listed: Vec<u32> = (base..n_rows).filter(|row| row % 3 < 2).collect();
            let list: Vec<u32> = std::iter::once(listed.len() as u32).chain(listed.iter().copied()).collect();
            let joined = device.poisoned(n_rows * stride * 8);
            let params = Params { base, span, stride };
            device.run(&Join {
                list: &device.upload(&list),
                states: &device.upload(&states),
                made: &device.upload(&made),
                hidden: &device.upload(&hidden),
                joined: &joined,
                n_rows,
                params,
            });
            let got = device.floats(&joined);
            for &row in &listed {
                let width = stride as usize * 8;
                let want = cpu(&params, row as usize, &states, &made, &hidden);
                assert_eq!(got[row as usize * width..][..width], want, "row {row}");
            }
        }
    }
}
