//! Grants the next round to the k best rows of each lane; for parity with the released code.
//!
//! Shader: `shaders/exits/select_top_k.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::GRANTED;
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct SelectTopK<'a> {
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows]` of [`Granted`](crate::kernels::Granted)
    pub granted: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// `rounds` of the shader.
    pub rounds: u32,
    /// `round` of the shader.
    pub round: u32,
    /// `keep` of the shader.
    pub keep: u32,
    /// `sign` of the shader.
    pub sign: f32,
}
}

impl Kernel for SelectTopK<'_> {
    const NAME: &'static str = "select_top_k";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/exits/select_top_k.wgsl"), GRANTED], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.scores.read(), self.rows.read(), self.list.read(), self.granted.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows.div_ceil(64), 1, 1]
    }
}

/// CPU twin: places of the `keep` largest scores of one lane, ties to the earlier place, in order.
pub fn cpu(scores: &[f32], keep: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    places.truncate(keep);
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, numbers};
    use crate::kernels::{Granted, Row};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, lanes, keep) in [(1u32, 1u32, 1usize), (24, 2, 5), (130, 3, 40)] {
            let mut scores = numbers((n_rows * 2) as usize, 14);
            if n_rows > 4 {
                scores[3] = scores[1]; // a tie
            }
            // A lane's rows stand side by side; column 1 of two is judged.
            let lane_of = |row: u32| row * lanes / n_rows;
            let rows: Vec<Row> =
                (0..n_rows).map(|row| Row { lane: lane_of(row), position: row, round: 0, kv_index: 0 }).collect();
            let list: Vec<u32> = std::iter::once(n_rows).chain(0..n_rows).collect();
            let granted = device.upload(&vec![Granted { rounds: 9, forced: 8 }; n_rows as usize]);
            device.run(&SelectTopK {
                scores: &device.upload(&scores),
                rows: &device.upload(&rows),
                list: &device.upload(&list),
                granted: &granted,
                n_rows,
                params: Params { rounds: 2, round: 1, keep: keep as u32, sign: 1.0 },
            });
            let got: Vec<Granted> = device.all(&granted);
            for lane in 0..lanes {
                let mine: Vec<u32> = (0..n_rows).filter(|&row| lane_of(row) == lane).collect();
                let own: Vec<f32> = mine.iter().map(|&row| scores[row as usize * 2 + 1]).collect();
                let want = cpu(&own, keep);
                for (place, &row) in mine.iter().enumerate() {
                    let rounds = 1 + u32::from(want.contains(&place));
                    assert_eq!(got[row as usize], Granted { rounds, forced: 8 }, "row {row}");
                }
            }
        }
    }
}
