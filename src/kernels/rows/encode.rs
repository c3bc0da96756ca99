//! Recursion encoding: a learned vector of the round multiplies the block's output.
//!
//! Shader: `shaders/rows/encode.wgsl`. Formula: `docs/models.md`, "recursion encoding".

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Encode<'a> {
    /// `[rounds, stride]`
    pub encoding: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, stride]`
    pub hidden: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// `stride` of the shader.
    pub stride: u32,
    /// `bank_stride` of the shader.
    pub bank_stride: u32,
}
}

impl Kernel for Encode<'_> {
    const NAME: &'static str = "encode";
    type Params = Params;

    fn source(&self) -> Source {
        Source::plain(include_str!("../../../shaders/rows/encode.wgsl"))
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.encoding.read(), self.rows.read(), self.list.read(), self.hidden.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.params.stride.div_ceil(64), 1]
    }
}

/// CPU twin: one row.
pub fn cpu(encoding: &[f32], hidden: &mut [f32]) {
    for (x, &e) in hidden.iter_mut().zip(encoding) {
        *x *= e;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, width) in [(1, 1), (3, 63), (5, 300)] {
            let encoding = device.rows(3, width, 7);
            let hidden = device.rows(n_rows, width, 8);
            let (rows, list, listed) = device.every_other(n_rows, 3);
            let params = Params { stride: hidden.stride / 4, bank_stride: encoding.stride / 4 };
            device.run(&Encode {
                encoding: &encoding.buffer,
                rows: &rows,
                list: &list,
                hidden: &hidden.buffer,
                n_rows,
                params,
            });
            let got = device.floats(&hidden.buffer);
            for row in 0..n_rows {
                let mut want = hidden.row(row).to_vec();
                if listed.contains(&row) {
                    cpu(encoding.row(row % 3), &mut want);
                }
                assert_close("encode", &got[(row * hidden.stride) as usize..][..width as usize], &want, 1e-6);
            }
        }
    }
}
