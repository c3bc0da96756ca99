//! Matrix times a few vectors, weights read once for all of them.
//!
//! Shader: `shaders/products/matvec.wgsl`. Its sums are those of [`matvec_serial`](crate::kernels::products::matvec_serial) and
//! [`matmul`](crate::kernels::products::matmul) to the bit.

use crate::gpu::traits::Storage;
use crate::gpu::{Binding, Buffer, Kernel, Source, Traits};
use crate::kernels::NumericClass;
use crate::kernels::products::matrix::{Part, loader};
use crate::params;

/// What the matrix kernels work on. Shapes: see the shader.
#[derive(Debug, Clone, Copy)]
pub struct Operands<'a> {
    /// Weights.
    pub part: &'a Part,
    /// `[rows, input_stride]`
    pub input: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, output_stride]`
    pub output: &'a Buffer,
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
    /// Vectors per weight row.
    pub weight_stride: u32,
    /// Weight rows.
    pub outputs: u32,
    /// Vectors per input row.
    pub input_stride: u32,
    /// Numbers per output row.
    pub output_stride: u32,
    /// Where the first output goes.
    pub output_offset: u32,
    /// [`WRITE`], [`ADD`] or [`COMPACT`].
    pub mode: u32,
    /// Workgroups in y before the next line begins in z.
    pub line: u32,
}
}

/// Outputs are written.
pub const WRITE: u32 = 0;
/// Outputs are added to what is there.
pub const ADD: u32 = 1;
/// Outputs are written at the row's place in the list.
pub const COMPACT: u32 = 2;

/// WebGPU's limit of workgroups per dimension.
const MAX_GRID: u32 = 65_535;

impl Operands<'_> {
    pub(crate) fn source(&self, text: &'static str, constants: Vec<(&'static str, u32)>) -> Source {
        let Part { data_type, weights, .. } = self.part;
        let parts = vec![
            text,
            crate::kernels::PRODUCT,
            loader(*data_type),
            weights.text(),
            crate::kernels::BLOCK,
            crate::kernels::TEXEL,
        ];
        Source { parts, constants }
    }

    pub(crate) fn bindings<'b>(&'b self, input: Binding<'b>) -> Vec<Binding<'b>> {
        vec![self.part.weights.read(), input, self.list.read(), self.output.write()]
    }

    /// `(params, grid)` where a workgroup takes `outputs` outputs of `rows` rows.
    pub(crate) fn spread(&self, outputs: u32, rows: u32) -> (Params, [u32; 3]) {
        let groups = self.params.outputs.div_ceil(outputs);
        let line = groups.min(MAX_GRID);
        // Tiles of rows come first: neighbours share weights, and a stretch of the grid has its share of the live rows.
        (Params { line, ..self.params }, [self.n_rows.div_ceil(rows), line, groups.div_ceil(line.max(1))])
    }
}

/// `columns` rows of the list at once: 1, 2, 4 or 8.
#[derive(Debug)]
pub struct Matvec<'a> {
    /// What is multiplied.
    pub operands: Operands<'a>,
    /// Rows per workgroup.
    pub columns: u32,
}

impl Matvec<'_> {
    /// Order of sums.
    pub const CLASS: NumericClass = NumericClass::Exact;

    /// Few rows, and what lies in buffers.
    pub fn fits(traits: &Traits, n_rows: u32) -> bool {
        traits.weights == Storage::Buffer && n_rows <= 16
    }

    /// Rows of a workgroup.
    pub fn columns(n_rows: u32) -> u32 {
        n_rows.next_power_of_two().min(8)
    }

    fn outputs(&self) -> u32 {
        4 * (16 / self.columns).min(4)
    }
}

impl Kernel for Matvec<'_> {
    const NAME: &'static str = "matvec";
    type Params = Params;

    fn source(&self) -> Source {
        self.operands.source(include_str!("../../../shaders/products/matvec.wgsl"), vec![("COLS", self.columns)])
    }

    fn params(&self) -> Params {
        self.operands.spread(self.outputs(), self.columns).0
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        self.operands.bindings(self.operands.input.read())
    }

    fn grid(&self) -> [u32; 3] {
        self.operands.spread(self.outputs(), self.columns).1
    }
}

/// CPU twin: one row; `weight` is `[outputs, columns]`, dequantised.
pub fn cpu(weight: &[f32], input: &[f32]) -> Vec<f32> {
    let dot = |w: &[f32]| w.iter().zip(input).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum::<f64>() as f32;
    weight.chunks_exact(input.len()).map(dot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, Rows, assert_close, numbers};
    use crate::kernels::padded;
    use crate::kernels::products::gather::{self, Gather};
    use crate::kernels::products::matmul::Matmul;
    use crate::kernels::products::matvec_serial::MatvecSerial;
    use crate::tensor::pack;
    use crate::tensor::{DataType, Tensor};

    /// Random bytes in blocks of the type, with scales that stay tame; packed, and their dequantised values.
    fn weights(data_type: DataType, outputs: u32, columns: u32) -> (Vec<u32>, Vec<f32>) {
        let (numbers_per_block, bytes_per_block) = data_type.block();
        let blocks = (outputs * columns) as usize / numbers_per_block;
        let mut bytes: Vec<u8> =
            numbers(blocks * bytes_per_block, 21).iter().map(|x| (x * 127.0) as i8 as u8).collect();
        let halves = |one: f32, other: f32| [one, other].map(|scale| half::f16::from_f32(scale).to_le_bytes()).concat();
        for (i, block) in bytes.chunks_exact_mut(bytes_per_block).enumerate() {
            let scale = half::f16::from_f32(0.01 + (i % 7) as f32 * 0.003).to_le_bytes();
            match data_type {
                DataType::F32 => block.copy_from_slice(&(block[0] as i8 as f32 / 128.0).to_le_bytes()),
                DataType::F16 => {
                    block.copy_from_slice(&half::f16::from_f32(block[0] as i8 as f32 / 100.0).to_le_bytes())
                }
                DataType::Bf16 => {
                    block.copy_from_slice(&half::bf16::from_f32(block[0] as i8 as f32 / 100.0).to_le_bytes())
                }
                DataType::Q4_1 | DataType::Q5_1 => {
                    block[..2].copy_from_slice(&scale);
                    block[2..4].copy_from_slice(&half::f16::from_f32(-0.07).to_le_bytes());
                }
                DataType::Q8_0 | DataType::Q4_0 | DataType::Q5_0 => block[..2].copy_from_slice(&scale),
                // Scales of scales, and of minimums.
                DataType::Q2K => block[80..].copy_from_slice(&halves(0.02, 0.015)),
                DataType::Q3K => block[108..].copy_from_slice(&halves(0.004, 0.0)[..2]),
                DataType::Q4K => block[..4].copy_from_slice(&halves(0.0015, 0.01)),
                DataType::Q5K => block[..4].copy_from_slice(&halves(0.0008, 0.012)),
                DataType::Q6K => block[208..].copy_from_slice(&halves(0.0004, 0.0)[..2]),
                DataType::Iq4Nl => block[..2].copy_from_slice(&halves(0.004, 0.0)[..2]),
                DataType::Iq4Xs => block[..2].copy_from_slice(&halves(0.0003, 0.0)[..2]),
            }
        }
        let mut values = vec![0.0; (outputs * columns) as usize];
        let row_bytes = columns as usize / numbers_per_block * bytes_per_block;
        for (row, out) in values.chunks_exact_mut(columns as usize).enumerate() {
            pack::dequantise_row(data_type, &bytes[row * row_bytes..][..row_bytes], columns as usize, out);
        }
        let shape = vec![outputs as usize, columns as usize];
        let tensor = Tensor { data_type, shape, data: bytes.into() };
        let mut words = Vec::new();
        pack::pack_rows(&tensor, 0..outputs as usize, &mut words);
        (words, values)
    }

    fn serial(device: &Device, operands: Operands<'_>, columns: u32, subgroups: bool) {
        let Operands { input, list, n_rows, .. } = operands;
        let vectors = operands.params.input_stride;
        let gathered = &device.gpu.texture("test", u64::from(n_rows * vectors) * 16).expect("texture");
        device.run(&Gather { input, list, gathered, n_rows, params: gather::Params { vectors } });
        device.run(&MatvecSerial { operands, gathered, columns, subgroups });
    }

    fn product(device: &Device, kernel: &str, part: &Part, input: &Rows, list: &[u32], mode: u32) -> Vec<f32> {
        let stride = part.rows + 3;
        let n_rows = list.len() as u32;
        let output = device.upload(&vec![0.5f32; (input.values.len() as u32 / input.width * stride) as usize]);
        let listed: Vec<u32> = std::iter::once(n_rows).chain(list.iter().copied()).collect();
        let params = Params {
            blocks: padded(input.width) / 32,
            weight_stride: part.stride,
            outputs: part.rows,
            input_stride: input.stride / 4,
            output_stride: stride,
            output_offset: 2,
            mode,
            line: 0,
        };
        let list = device.upload(&listed);
        let operands = Operands { part, input: &input.buffer, list: &list, output: &output, n_rows, params };
        match kernel {
            "matmul" => device.run(&Matmul { operands }),
            "one at a time" => serial(device, operands, 1, false),
            "serial" => serial(device, operands, 4, false),
            "many" => serial(device, operands, 32, false),
            "as many as can be" => {
                let columns = MatvecSerial::columns(device.gpu.traits(), n_rows, n_rows, params.blocks);
                serial(device, operands, columns, device.subgroups());
            }
            "subgroups" => serial(device, operands, 8, true),
            "many by subgroups" => serial(device, operands, 32, true),
            columns => device.run(&Matvec { operands, columns: columns.parse().unwrap() }),
        }
        device.floats(&output)
    }

    #[test]
    fn the_longest_rows_are_summed_to_their_end() {
        let device = Device::open();
        let (columns, n_rows) = (65_536, 32);
        let (words, values) = weights(DataType::F32, 1, columns);
        let weights = device.weights(&words, columns / 4, true);
        let part = Part { weights, data_type: DataType::F32, stride: columns / 4, first: 0, rows: 1 };
        let input = device.rows(n_rows, columns, 23);
        let list: Vec<u32> = (0..n_rows).collect();
        let got = product(&device, "as many as can be", &part, &input, &list, ADD);
        for row in 0..n_rows {
            let want = cpu(&values, input.row(row))[0] + 0.5;
            assert_close("sum", &got[(row * 4 + 2) as usize..][..1], &[want], 1e-4);
        }
    }

    #[test]
    fn gpu_matches_cpu_and_all_matrix_kernels_agree_to_the_bit() {
        let device = Device::open();
        for data_type in DataType::ALL {
            let step = data_type.block().0 as u32;
            let widths = if step == 1 { [1, 33, 100] } else { [step, 2 * step, 3 * step] };
            // The largest of f32 fills lines of a texture, begins within one, and ends within one.
            let most = if data_type == DataType::F32 { 380 } else { 70 };
            for (columns, outputs) in widths.into_iter().zip([1, 35, most]) {
                let (words, values) = weights(data_type, outputs, columns);
                let stride = pack::packed_row_words(data_type, columns as usize) as u32 / 4;
                let [part, in_texture] = [false, true].map(|in_texture| {
                    let weights = device.weights(&words, stride, in_texture);
                    Part { weights, data_type, stride, first: 0, rows: outputs }
                });
                let input = device.rows(40, columns, 22);
                let list: Vec<u32> = (0..37).map(|i| (i * 7 + 3) % 40).collect();
                let reference = product(&device, "1", &part, &input, &list, ADD);
                for &row in &list {
                    let want: Vec<f32> = cpu(&values, input.row(row)).iter().map(|x| x + 0.5).collect();
                    let start = (row * (outputs + 3) + 2) as usize;
                    assert_close(data_type.name(), &reference[start..][..outputs as usize], &want, 2e-5);
                }
                let compact = product(&device, "2", &part, &input, &list[..3], COMPACT);
                for (place, &row) in list[..3].iter().enumerate() {
                    let start = place * (outputs as usize + 3) + 2;
                    let want = cpu(&values, input.row(row));
                    assert_close("compact", &compact[start..][..outputs as usize], &want, 2e-5);
                }
                let same_bits = |kernel: &str, part: &Part| {
                    let other = product(&device, kernel, part, &input, &list, ADD);
                    let same = reference.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{kernel} differs from one column at a time for {}", data_type.name());
                };
                let subgroups = device.subgroups().then_some("subgroups");
                for kernel in ["2", "4", "8", "one at a time", "serial", "matmul"].into_iter().chain(subgroups) {
                    same_bits(kernel, &part);
                    same_bits(kernel, &in_texture);
                }
                // Takes long to compile; no adapter uses it otherwise.
                same_bits(if device.subgroups() { "many by subgroups" } else { "many" }, &in_texture);
            }
        }
    }
}
