//! Rotary position embedding of queries and keys, and the filing of keys and values in the paged cache.
//!
//! Shader: `shaders/attention/rope.wgsl`. Pairs are `(i, i + half)` as in Hugging Face's Llama, not interleaved.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Rope<'a> {
    /// `[lanes, classes, max_pages]`
    pub pages: &'a Buffer,
    /// `[positions, head_dim / 2]` of cosine and sine, see [`rotations`]
    pub rotation: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, stride]`
    pub qkv: &'a Buffer,
    /// See `shaders/lib/kv.wgsl`.
    pub cache: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// Workgroups that share a row.
    pub share: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Numbers per row of q, k, v.
    pub stride: u32,
    /// 0: the row has queries only.
    pub write_keys: u32,
    /// Cache class of round 0.
    pub class_base: u32,
    /// Classes from one round to the next.
    pub class_step: u32,
    /// 1: an entry per token that ran this round.
    pub compact: u32,
    /// Classes per lane.
    pub classes: u32,
    /// Pages per lane and class.
    pub max_pages: u32,
    /// First KV head that the binding holds; the binding of KV head 0 has the queries rotated.
    pub first_kv_head: u32,
    /// KV heads that the binding holds.
    pub cache_heads: u32,
}
}

/// Rows have queries only.
pub const QUERIES: u32 = 0;
/// Keys and values are filed.
pub const WRITE: u32 = 1;
/// Keys and values of rows at round 0 are filed.
pub const WRITE_AT_ROUND_0: u32 = 2;

impl Kernel for Rope<'_> {
    const NAME: &'static str = "rope";
    type Params = Params;

    fn source(&self) -> Source {
        let parts = vec![include_str!("../../../shaders/attention/rope.wgsl"), crate::kernels::KV];
        Source { parts, constants: vec![("HEAD4", self.params.head_dim.div_ceil(4))] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.pages.read(),
            self.rotation.read(),
            self.rows.read(),
            self.list.read(),
            self.qkv.write(),
            self.cache.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.share, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        let Params { heads, kv_heads, head_dim, .. } = self.params;
        Some((heads + 2 * kv_heads) * head_dim / 64 + 4)
    }
}

/// Cosine and sine of `position * frequency`, `[positions, frequencies, 2]`.
///
/// The angle is rounded to f32 as in the reference implementation, whose checkpoints were trained with that.
pub fn rotations(positions: u32, frequencies: &[f32]) -> Vec<f32> {
    let mut table = Vec::with_capacity(2 * positions as usize * frequencies.len());
    for position in 0..positions {
        for frequency in frequencies {
            let angle = f64::from(position as f32 * frequency);
            table.extend([angle.cos() as f32, angle.sin() as f32]);
        }
    }
    table
}

/// CPU twin: one head; `rotation` is the position's row of [`rotations`].
pub fn cpu(head: &mut [f32], rotation: &[f32]) {
    let half = head.len() / 2;
    for i in 0..half {
        let (cos, sin) = (rotation[2 * i], rotation[2 * i + 1]);
        let (a, b) = (head[i], head[i + half]);
        head[i] = a * cos - b * sin;
        head[i + half] = b * cos + a * sin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::PAGE;
    use crate::kernels::Row;
    use crate::kernels::check::{Device, assert_close, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (heads, kv_heads, head_dim, compact) in [(1u32, 1u32, 2u32, 0u32), (4, 2, 6, 1), (9, 3, 64, 0)] {
            let n_rows = 11u32;
            let stride = (heads + 2 * kv_heads) * head_dim + 3;
            let qkv = numbers((n_rows * stride) as usize, 41);
            // Two lanes; positions run past the first page; one class per round.
            let rows: Vec<Row> =
                (0..n_rows).map(|i| Row { lane: i % 2, position: 30 + i, round: i % 2, kv_index: 31 + i }).collect();
            let (classes, max_pages) = (2u32, 2u32);
            let pages: Vec<u32> = vec![7, 6, 5, 4, 3, 2, 1, 0];
            let frequencies: Vec<f32> = (0..head_dim / 2).map(|i| 1.0 / (1.0 + i as f32)).collect();
            let table = rotations(64, &frequencies);
            let head4 = head_dim.div_ceil(4);
            let cache_words = 8 * 2 * PAGE * head4 * 4;
            let output = device.upload(&qkv);
            // All KV heads in one binding, or each in one of its own.
            let bindings = if compact == 1 { kv_heads } else { 1 };
            let held = kv_heads / bindings;
            let mut filed = vec![];
            for first_kv_head in (0..kv_heads).step_by(held as usize) {
                let cache = device.upload(&vec![0f32; (held * cache_words) as usize]);
                device.run(&Rope {
                    pages: &device.upload(&pages),
                    rotation: &device.upload(&table),
                    rows: &device.upload(&rows),
                    list: &device.upload(&std::iter::once(n_rows).chain(0..n_rows).collect::<Vec<_>>()),
                    qkv: &output,
                    cache: &cache,
                    n_rows,
                    share: 1 + compact + kv_heads / 3,
                    params: Params {
                        heads,
                        kv_heads,
                        head_dim,
                        stride,
                        write_keys: 1,
                        class_base: 0,
                        class_step: 1,
                        compact,
                        classes,
                        max_pages,
                        first_kv_head,
                        cache_heads: held,
                    },
                });
                filed.push(device.floats(&cache));
            }
            let got = device.floats(&output);
            for (row, info) in rows.iter().enumerate() {
                let turn = &table[(info.position * head_dim) as usize..][..head_dim as usize];
                let part = |head: u32| &qkv[row * stride as usize + (head * head_dim) as usize..][..head_dim as usize];
                for head in 0..heads {
                    let mut want = part(head).to_vec();
                    cpu(&mut want, turn);
                    let start = row * stride as usize + (head * head_dim) as usize;
                    assert_close("query", &got[start..][..head_dim as usize], &want, 1e-6);
                }
                let entry = if compact == 1 { info.kv_index } else { info.position };
                let page = pages[((info.lane * classes + info.round) * max_pages + entry / PAGE) as usize];
                for head in 0..kv_heads {
                    let mut key = part(heads + head).to_vec();
                    cpu(&mut key, turn);
                    let filed = &filed[(head / held) as usize];
                    let at = (((page * held + head % held) * 2 * PAGE + entry % PAGE) * head4 * 4) as usize;
                    assert_close("key", &filed[at..][..head_dim as usize], &key, 1e-6);
                    let at = at + (PAGE * head4 * 4) as usize;
                    assert_close("value", &filed[at..][..head_dim as usize], part(heads + kv_heads + head), 0.0);
                }
            }
        }
    }
}
