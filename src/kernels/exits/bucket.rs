//! Lists the rows that run a round, by a prefix sum, and gives each its place in that round's cache.
//!
//! Shader: `shaders/exits/bucket.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{GRANTED, Granted, Row};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Bucket<'a> {
    /// `[rows]` of [`Granted`]
    pub granted: &'a Buffer,
    /// `[rows]`: first row of the same lane
    pub first: &'a Buffer,
    /// `[rows]` of [`Row`]
    pub rows: &'a Buffer,
    /// `[lanes, classes]`
    pub lengths: &'a Buffer,
    /// `[rows]`, scratch
    pub before: &'a Buffer,
    /// `[lanes, context]`
    pub reach: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// First row.
    pub base: u32,
    /// Rows of this step.
    pub rows: u32,
    /// The round whose rows are listed.
    pub round: u32,
    /// By which weights and cache are looked up; 0 where a round is a slice of a stack.
    pub row_round: u32,
    /// Classes per lane.
    pub classes: u32,
    /// Cache class whose lengths are kept.
    pub class_of_round: u32,
    /// Positions per lane in `reach`.
    pub context: u32,
}
}

impl Kernel for Bucket<'_> {
    const NAME: &'static str = "bucket";
    type Params = Params;

    fn source(&self) -> Source {
        Source {
            parts: vec![include_str!("../../../shaders/exits/bucket.wgsl"), crate::kernels::SCAN, GRANTED],
            constants: vec![],
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.granted.read(),
            self.first.read(),
            self.rows.write(),
            self.lengths.write(),
            self.before.write(),
            self.reach.write(),
            self.list.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// CPU twin: the listed rows; `rows` and `lengths` (`[lanes, classes]`) are brought up to date.
pub fn cpu(params: &Params, granted: &[Granted], rows: &mut [Row], lengths: &mut [u32]) -> Vec<u32> {
    let mut list = Vec::new();
    for (index, row) in rows.iter_mut().enumerate().skip(params.base as usize).take(params.rows as usize) {
        if granted[index].rounds > params.round {
            let length = &mut lengths[(row.lane * params.classes + params.class_of_round) as usize];
            (row.round, row.kv_index) = (params.row_round, *length);
            *length += 1;
            list.push(index as u32);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Device;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, lanes) in [(1u32, 1u32), (5, 2), (255, 3), (256, 1), (257, 32), (1030, 7)] {
            let lane_of = |row: u32| row * lanes / n_rows.max(lanes);
            let mut rows: Vec<Row> =
                (0..n_rows).map(|i| Row { lane: lane_of(i), position: i, round: 77, kv_index: 88 }).collect();
            let first: Vec<u32> =
                (0..n_rows).map(|i| (0..=i).rev().take_while(|&j| lane_of(j) == lane_of(i)).last().unwrap()).collect();
            let granted: Vec<Granted> =
                (0..n_rows).map(|i| Granted { rounds: (i * 7 + i / 3) % 4, forced: i % 3 }).collect();
            // A row behind its lane's first that is not in use names no lane.
            for i in (0..n_rows as usize).filter(|&i| first[i] != i as u32 && granted[i].rounds <= 1 && i % 2 == 0) {
                rows[i].lane = 0;
            }
            let mut lengths: Vec<u32> = (0..lanes * 3).map(|i| 10 * i).collect();
            // The first lane stands before the rows in question.
            let base = if lanes > 1 {
                lane_of(n_rows - 1).min(1) * first.iter().filter(|&&f| f == 0).count() as u32
            } else {
                0
            };
            let params = Params {
                base,
                rows: n_rows - base,
                round: 1,
                row_round: 1,
                classes: 3,
                class_of_round: 2,
                context: n_rows,
            };
            let (rows_buffer, lengths_buffer) = (device.upload(&rows), device.upload(&lengths));
            let reach = device.upload(&vec![0u32; (lanes * n_rows) as usize]);
            let list = device.upload(&vec![0xffffu32; n_rows as usize + 1]);
            device.run(&Bucket {
                granted: &device.upload(&granted),
                first: &device.upload(&first),
                rows: &rows_buffer,
                lengths: &lengths_buffer,
                before: &device.upload(&vec![0u32; n_rows as usize]),
                reach: &reach,
                list: &list,
                params,
            });
            let want = cpu(&params, &granted, &mut rows, &mut lengths);
            let got = device.words(&list);
            assert_eq!(got[0] as usize, want.len());
            assert_eq!(got[1..=want.len()], want, "{n_rows} rows in {lanes} lanes");
            assert_eq!(device.words(&rows_buffer), bytemuck::cast_slice::<_, u32>(&rows));
            assert_eq!(device.words(&lengths_buffer)[..lengths.len()], lengths);
            let reach = device.words(&reach);
            for (index, row) in rows.iter().enumerate() {
                let ran = reach[(row.lane * n_rows + row.position) as usize];
                assert_eq!(ran, if want.contains(&(index as u32)) { 2 } else { 0 });
            }
        }
    }
}
