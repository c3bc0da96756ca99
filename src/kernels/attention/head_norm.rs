//! Root-mean-square normalisation of each head of queries and keys, before the rotary embedding.
//!
//! Shader: `shaders/attention/head_norm.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::rows::rms_norm;
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct HeadNorm<'a> {
    /// `[rounds, 2, weight_stride]`
    pub weight: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, stride]`
    pub qkv: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// Heads that the rows have keys for; 0 where they have queries only.
    pub key_heads: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Query heads.
    pub heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Numbers per row of q, k, v.
    pub stride: u32,
    /// Numbers from the queries' weight to the keys'.
    pub weight_stride: u32,
    /// Numbers from one round's weights to the next.
    pub bank_stride: u32,
    /// `epsilon` of the shader.
    pub epsilon: f32,
}
}

impl Kernel for HeadNorm<'_> {
    const NAME: &'static str = "head_norm";
    type Params = Params;

    fn source(&self) -> Source {
        Source {
            parts: vec![include_str!("../../../shaders/attention/head_norm.wgsl"), crate::kernels::REDUCE],
            constants: vec![],
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.weight.read(), self.rows.read(), self.list.read(), self.qkv.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.params.heads + self.key_heads, 1]
    }
}

/// CPU twin: the heads of one row's queries or keys.
pub fn cpu(heads: &mut [f32], weight: &[f32], epsilon: f32) {
    for head in heads.chunks_exact_mut(weight.len()) {
        head.copy_from_slice(&rms_norm::cpu(head, weight, epsilon));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, heads, key_heads, head_dim) in
            [(1u32, 1u32, 1u32, 2u32), (3, 4, 2, 6), (5, 2, 0, 64), (4, 3, 1, 130)]
        {
            let width = (heads + 2 * key_heads) * head_dim;
            let qkv = device.rows(n_rows, width, 71);
            let weights = numbers((3 * 2 * head_dim) as usize, 72);
            let (rows, list, listed) = device.every_other(n_rows, 3);
            device.run(&HeadNorm {
                weight: &device.upload(&weights),
                rows: &rows,
                list: &list,
                qkv: &qkv.buffer,
                n_rows,
                key_heads,
                params: Params {
                    heads,
                    head_dim,
                    stride: qkv.stride,
                    weight_stride: head_dim,
                    bank_stride: 2 * head_dim,
                    epsilon: 1e-6,
                },
            });
            let got = device.floats(&qkv.buffer);
            for row in 0..n_rows {
                let mut want = qkv.row(row).to_vec();
                if listed.contains(&row) {
                    let (queries, rest) = want.split_at_mut((heads * head_dim) as usize);
                    let at = |which: u32| &weights[((row % 3 * 2 + which) * head_dim) as usize..][..head_dim as usize];
                    cpu(queries, at(0), 1e-6);
                    cpu(&mut rest[..(key_heads * head_dim) as usize], at(1), 1e-6);
                }
                assert_close("head_norm", &got[(row * qkv.stride) as usize..][..width as usize], &want, 1e-5);
            }
        }
    }
}
