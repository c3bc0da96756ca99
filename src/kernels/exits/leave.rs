//! Lists the rows of lanes whose rows have all run their rounds, by a prefix sum.
//!
//! Shader: `shaders/exits/leave.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{Control, GRANTED, Granted, LANE, Row};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Leave<'a> {
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[rows]` of [`Row`]
    pub rows: &'a Buffer,
    /// `[rows]` of [`Granted`]
    pub granted: &'a Buffer,
    /// `[count, rows...]`
    pub leaving: &'a Buffer,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Number of lanes.
    pub lanes: u32,
    /// Rows of a lane.
    pub span: u32,
    /// First row of lane 0.
    pub base: u32,
    /// 1: whoever is in flight has run everything.
    pub everyone: u32,
}
}

impl Kernel for Leave<'_> {
    const NAME: &'static str = "leave";
    type Params = Params;

    fn source(&self) -> Source {
        Source {
            parts: vec![include_str!("../../../shaders/exits/leave.wgsl"), crate::kernels::SCAN, LANE, GRANTED],
            constants: vec![],
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.control.read(), self.rows.read(), self.granted.read(), self.leaving.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// CPU twin: the rows that leave.
pub fn cpu(params: &Params, control: &[Control], rows: &[Row], granted: &[Granted]) -> Vec<u32> {
    let done = |row: u32| granted[row as usize].rounds <= rows[row as usize].round + 1 || params.everyone == 1;
    let used = |lane: u32| {
        let first = params.base + lane * params.span;
        first..first + control[lane as usize].rows
    };
    let leaves = |&lane: &u32| control[lane as usize].phase == Control::IN_FLIGHT && used(lane).all(done);
    (0..params.lanes).filter(leaves).flat_map(used).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Device;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (lanes, span, base, everyone) in [
            (1u32, 1u32, 0u32, 0u32),
            (7, 1, 3, 0),
            (64, 1, 16, 1),
            (256, 1, 0, 0),
            (300, 1, 5, 0),
            (40, 2, 3, 0),
            (300, 4, 1, 0),
            (9, 2, 0, 1),
        ] {
            let control: Vec<Control> = (0..lanes)
                .map(|i| Control { phase: (i * 5 + i / 7) % 4, rows: 1 + i % span, ..Control::default() })
                .collect();
            let n_rows = base + lanes * span;
            let rows: Vec<Row> = (0..n_rows).map(|i| Row { lane: i, position: i, round: i % 3, kv_index: 0 }).collect();
            let granted: Vec<Granted> = (0..n_rows).map(|i| Granted { rounds: i / 3 % 4, forced: i % 2 }).collect();
            let params = Params { lanes, span, base, everyone };
            let leaving = device.upload(&vec![0xffffu32; (lanes * span) as usize + 1]);
            device.run(&Leave {
                control: &device.upload(&control),
                rows: &device.upload(&rows),
                granted: &device.upload(&granted),
                leaving: &leaving,
                params,
            });
            let (got, want) = (device.words(&leaving), cpu(&params, &control, &rows, &granted));
            assert_eq!(got[0] as usize, want.len());
            assert_eq!(got[1..=want.len()], want, "{lanes} lanes of {span} from row {base}");
        }
    }
}
