//! Attention over one stretch of the paged context, for several rows and all query heads of a KV head at once.
//!
//! Shader: `shaders/attention/attention_stretch.wgsl`; [`attention_merge`](crate::kernels::attention::attention_merge) joins the stretches. The split is
//! that of Flash-Decoding, with stretches of fixed length so that a row's result never depends on its company.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::NumericClass;
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Attention<'a> {
    /// `[lanes, classes, max_pages]`
    pub pages: &'a Buffer,
    /// `[rows, stride]`
    pub qkv: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// See `shaders/lib/kv.wgsl`.
    pub cache: &'a Buffer,
    /// `[lanes, context]`: rounds run by each position
    pub reach: &'a Buffer,
    /// `[rows, heads, max_stretches, head_dim / 4 + 1]` vectors
    pub partial: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// Most entries that a row can see.
    pub longest: u32,
    /// Rows and heads per workgroup.
    pub tile: Tile,
    /// Which entries the layer has.
    pub held: Held,
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
    /// Cache class of round 0.
    pub class_base: u32,
    /// Classes from one round to the next.
    pub class_step: u32,
    /// 1: entries are counted by KV index.
    pub compact: u32,
    /// 1: entries that did not run this round are taken from round 0.
    pub overlay: u32,
    /// Classes per lane.
    pub classes: u32,
    /// Pages per lane and class.
    pub max_pages: u32,
    /// Stretches that `partial` has room for.
    pub max_stretches: u32,
    /// Positions per lane in `reach`.
    pub context: u32,
    /// Entries that a row sees at most, its own included.
    pub window: u32,
    /// `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// Vectors per row of attention's output.
    pub output_stride: u32,
    /// Rounds that a token has run whose entry the layer has; looked at where there are holes.
    pub reached: u32,
    /// First query head whose keys the binding holds.
    pub first_head: u32,
    /// KV heads that the binding holds.
    pub cache_heads: u32,
}
}

/// Which entries a layer has of those that a row sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// All: every token leaves one.
    All,
    /// Those of tokens that ran at least [`Params::reached`] rounds.
    Reached,
}

impl Held {
    /// The part of the kernel that says it.
    pub fn text(self) -> &'static str {
        match self {
            Self::All => crate::kernels::HELD_ALL,
            Self::Reached => crate::kernels::HELD_REACHED,
        }
    }
}

/// How many rows and query heads a workgroup takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Rows of the list.
    pub rows: u32,
    /// Query heads of one KV head.
    pub heads: u32,
}

impl Tile {
    /// The largest tile of at most 4 rows that 16 KiB of workgroup memory and 64 threads hold.
    pub fn largest(heads: u32, kv_heads: u32, head_dim: u32) -> Self {
        let group = heads / kv_heads;
        let fits = |rows: u32, heads: u32| {
            let bytes = rows * (heads * (head_dim.div_ceil(4) * 16 + 64 * 4 + 8) + 64 * 4);
            bytes <= 16_000 && rows * heads <= 64
        };
        let shares = (1..=group).rev().filter(|heads| group.is_multiple_of(*heads));
        let best = shares.filter(|&heads| fits(1, heads)).max().unwrap_or(1);
        let rows = [4, 2, 1].into_iter().find(|&rows| fits(rows, best)).unwrap_or(1);
        Self { rows, heads: best }
    }
}

impl Attention<'_> {
    /// Order of sums.
    pub const CLASS: NumericClass = NumericClass::Exact;
}

impl Kernel for Attention<'_> {
    const NAME: &'static str = "attention_stretch";
    type Params = Params;

    fn source(&self) -> Source {
        let constants =
            vec![("HEAD4", self.params.head_dim.div_ceil(4)), ("GROUP", self.tile.heads), ("QROWS", self.tile.rows)];
        Source {
            parts: vec![
                include_str!("../../../shaders/attention/attention_stretch.wgsl"),
                crate::kernels::SPAN,
                crate::kernels::ENTRIES,
                crate::kernels::KV,
                self.held.text(),
            ],
            constants,
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.pages.read(),
            self.qkv.read(),
            self.rows.read(),
            self.list.read(),
            self.cache.read(),
            self.reach.read(),
            self.partial.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        let stretches = self.longest.div_ceil(crate::kernels::STRETCH);
        let Params { heads, kv_heads, cache_heads, .. } = self.params;
        [self.n_rows.div_ceil(self.tile.rows), cache_heads * (heads / kv_heads) / self.tile.heads, stretches]
    }
}

/// CPU twin of `attention` and `attention_merge` together: one query head over its keys and values.
pub fn cpu(query: &[f32], keys: &[&[f32]], values: &[&[f32]]) -> Vec<f32> {
    let scale = 1.0 / (query.len() as f64).sqrt();
    let dot = |key: &&[f32]| query.iter().zip(*key).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>() * scale;
    let scores: Vec<f64> = keys.iter().map(dot).collect();
    let highest = scores.iter().copied().fold(f64::MIN, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mix = |d: usize| weights.iter().zip(values).map(|(w, v)| w * f64::from(v[d])).sum::<f64>() / total;
    (0..query.len()).map(|d| mix(d) as f32).collect()
}

#[cfg(test)]
mod tests;
