//! Carries the final state of the last row that stays to its lane's first row.
//!
//! Shader: `shaders/drafts/carry.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::LANE;
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Carry<'a> {
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[lanes]` of [`Control`](crate::kernels::Control)
    pub control: &'a Buffer,
    /// `[rows, stride]`: states behind the final norm
    pub normed: &'a Buffer,
    /// `[rows, stride]`
    pub states: &'a Buffer,
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
    /// Vectors per row.
    pub stride: u32,
}
}

impl Kernel for Carry<'_> {
    const NAME: &'static str = "carry";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/drafts/carry.wgsl"), LANE], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.list.read(), self.rows.read(), self.control.read(), self.normed.read(), self.states.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        Some(self.params.stride.div_ceil(64) + 1)
    }
}

/// CPU twin: the row whose state is carried to, if the row's state is; `kept` is of its lane.
pub fn cpu(params: &Params, row: u32, lane: u32, kept: u32) -> Option<u32> {
    let first = params.base + lane * params.span;
    (row < params.base || row + 1 == first + kept).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, numbers};
    use crate::kernels::{Control, Row};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (lanes, span, base, stride) in [(1u32, 2u32, 3u32, 1u32), (9, 4, 3, 24), (40, 9, 5, 70)] {
            let n_rows = base + lanes * span;
            let lane = |row: u32| if row < base { row % lanes } else { (row - base) / span };
            let rows: Vec<Row> =
                (0..n_rows).map(|i| Row { lane: lane(i), position: 0, round: 0, kv_index: 0 }).collect();
            let control: Vec<Control> =
                (0..lanes).map(|i| Control { kept: 1 + i % span, ..Control::default() }).collect();
            let normed = numbers((n_rows * stride * 4) as usize, 3);
            let mut states = vec![7.0f32; normed.len()];
            // A lane either reads its prompt or decodes.
            let listed: Vec<u32> = (0..n_rows).filter(|&row| (row < base) == (lane(row) < base.min(lanes))).collect();
            let list: Vec<u32> = std::iter::once(listed.len() as u32).chain(listed.iter().copied()).collect();
            let made = device.upload(&states);
            let params = Params { base, span, stride };
            device.run(&Carry {
                list: &device.upload(&list),
                rows: &device.upload(&rows),
                control: &device.upload(&control),
                normed: &device.upload(&normed),
                states: &made,
                n_rows,
                params,
            });
            let width = stride as usize * 4;
            let mut last = std::collections::HashMap::new();
            for &row in &listed {
                if let Some(to) = cpu(&params, row, lane(row), control[lane(row) as usize].kept) {
                    last.insert(to, row);
                }
            }
            for (to, row) in last {
                let from = &normed[row as usize * width..][..width];
                states[to as usize * width..][..width].copy_from_slice(from);
            }
            if lanes > 1 || base < 2 {
                assert_eq!(device.floats(&made)[..states.len()], states, "{lanes} lanes");
            }
        }
    }
}
