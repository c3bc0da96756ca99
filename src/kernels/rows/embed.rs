//! Embedding lookup; the token comes from the host (prompt) or from the lane's last draw, or a guess (decoding).
//!
//! Shader: `shaders/rows/embed.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::products::matrix::{Part, loader};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Embed<'a> {
    /// Rows of the table.
    pub part: &'a Part,
    /// `[rows]`, [`NEXT_TOKEN`](crate::kernels::NEXT_TOKEN) where what stands in `history` is meant
    pub tokens: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, stride]`
    pub hidden: &'a Buffer,
    /// `[lanes, seen_stride]`
    pub seen: &'a Buffer,
    /// `[lanes, context]`: token at each position
    pub history: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Blocks of 32 columns.
    pub blocks: u32,
    /// Vectors per table row.
    pub weight_stride: u32,
    /// First token of this part.
    pub first: u32,
    /// Tokens in this part.
    pub rows: u32,
    /// Vectors per hidden row.
    pub stride: u32,
    /// Words of a lane's set of seen tokens.
    pub seen_stride: u32,
    /// Factor of the table's numbers.
    pub scale: f32,
    /// Positions of a lane in `history`.
    pub context: u32,
    /// First row of lane 0.
    pub base: u32,
    /// Rows of a lane.
    pub span: u32,
}
}

impl Kernel for Embed<'_> {
    const NAME: &'static str = "embed";
    type Params = Params;

    fn source(&self) -> Source {
        let text = include_str!("../../../shaders/rows/embed.wgsl");
        let parts = vec![
            text,
            loader(self.part.data_type),
            self.part.weights.text(),
            crate::kernels::BLOCK,
            crate::kernels::TEXEL,
        ];
        Source { parts, constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.part.weights.read(),
            self.tokens.read(),
            self.rows.read(),
            self.list.read(),
            self.hidden.write(),
            self.seen.write(),
            self.history.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }
}

/// CPU twin: the table's row, dequantised, times the scale.
pub fn cpu(table: &[f32], width: usize, token: u32, scale: f32) -> Vec<f32> {
    table[token as usize * width..][..width].iter().map(|x| x * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::NEXT_TOKEN;
    use crate::kernels::Row;
    use crate::kernels::check::{Device, numbers};
    use crate::kernels::padded;
    use crate::tensor::pack;
    use crate::tensor::{DataType, Tensor};

    #[test]
    fn gpu_matches_cpu_across_parts() {
        let device = Device::open();
        for width in [1u32, 33, 64] {
            let table = numbers((7 * width) as usize, 31);
            let tensor = Tensor {
                data_type: DataType::F32,
                shape: vec![7, width as usize],
                data: bytemuck::cast_slice(&table).into(),
            };
            let part = |first: usize, rows: usize| {
                let mut words = Vec::new();
                pack::pack_rows(&tensor, first..first + rows, &mut words);
                let stride = padded(width) / 4;
                Part {
                    weights: device.weights(&words, stride, first > 0),
                    data_type: DataType::F32,
                    stride,
                    first: first as u32,
                    rows: rows as u32,
                }
            };
            // The last row is a guess behind row 3.
            let tokens = [6, 0, NEXT_TOKEN, 2, 4];
            let position = [0, 1, 2, 3, 4];
            let rows: Vec<Row> = (0..5)
                .map(|i| Row { lane: i.min(3) % 2, position: position[i as usize], round: 0, kv_index: 0 })
                .collect();
            let hidden = device.poisoned(5 * padded(width));
            let seen = device.upload(&[0u32, 1 << 2]);
            let history = device.upload(&[9u32, 9, 5, 9, 9, 9, 9, 9, 9, 9]);
            for part in [part(0, 4), part(4, 3)] {
                device.run(&Embed {
                    part: &part,
                    tokens: &device.upload(&tokens),
                    rows: &device.upload(&rows),
                    list: &device.upload(&[5u32, 4, 3, 2, 1, 0]),
                    hidden: &hidden,
                    seen: &seen,
                    history: &history,
                    n_rows: 5,
                    params: Params {
                        blocks: padded(width) / 32,
                        weight_stride: part.stride,
                        first: part.first,
                        rows: part.rows,
                        stride: padded(width) / 4,
                        seen_stride: 1,
                        scale: 1.5,
                        context: 5,
                        base: 1,
                        span: 2,
                    },
                });
            }
            let got = device.floats(&hidden);
            for (row, token) in [6, 0, 5, 2, 4].into_iter().enumerate() {
                let start = row * padded(width) as usize;
                assert_eq!(got[start..][..width as usize], cpu(&table, width as usize, token, 1.5), "row {row}");
            }
            // Lane 0 has seen 6; of lane 1 rows 2 and 4 are guesses.
            let guessed = |row: usize| row > 1 && (row - 1) % 2 == 1;
            let mut want = [0u32, 1 << 2];
            for (row, token) in [6, 0, 5, 2, 4].into_iter().enumerate().filter(|(row, _)| !guessed(*row)) {
                want[row.min(3) % 2] |= 1 << token;
            }
            assert_eq!(device.words(&seen)[..2], want);
            assert_eq!(device.words(&history)[..10], [6, 9, 5, 9, 9, 9, 0, 9, 2, 4]);
        }
    }
}
