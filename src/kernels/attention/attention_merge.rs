//! Joins the stretches of [`attention`](crate::kernels::attention::attention_stretch) into the heads' outputs.
//!
//! Shader: `shaders/attention/attention_merge.wgsl`. Its test is that of `attention`.

use crate::gpu::{Binding, Buffer, Kernel, Source, Texture};
use crate::kernels::products::gather::{self, Inputs};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct AttentionMerge<'a> {
    /// `[rows, heads, max_stretches, head_dim / 4 + 1]` vectors
    pub partial: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, stride]`; gathered only where [`gathers`] says so.
    pub output: &'a Inputs,
    /// Most rows that the list can hold.
    pub n_rows: u32,
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
    /// Numbers per output row.
    pub stride: u32,
    /// 1: entries are counted by KV index.
    pub compact: u32,
    /// Stretches that `partial` has room for.
    pub max_stretches: u32,
    /// Entries that a row sees at most.
    pub window: u32,
}
}

/// Whether heads of this width are whole vectors, which can be gathered as they are made.
pub fn gathers(head_dim: u32) -> bool {
    head_dim.is_multiple_of(4)
}

impl AttentionMerge<'_> {
    fn gathered(&self) -> Option<&Texture> {
        self.output.gathered.as_ref().filter(|_| gathers(self.params.head_dim))
    }
}

impl Kernel for AttentionMerge<'_> {
    const NAME: &'static str = "attention_merge";
    type Params = Params;

    fn source(&self) -> Source {
        let parts = vec![include_str!("../../../shaders/attention/attention_merge.wgsl")];
        let source = Source { parts, constants: vec![("HEAD4", self.params.head_dim.div_ceil(4))] };
        gather::share(source, self.gathered(), 5)
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        let mut bindings = vec![self.partial.read(), self.rows.read(), self.list.read(), self.output.rows.write()];
        bindings.extend(self.gathered().map(Texture::write));
        bindings
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.params.heads, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        let stretches = self.params.max_stretches + 1;
        Some(stretches + (self.params.head_dim / 128 + 2) * (stretches + 6))
    }
}

/// CPU twin: stretches as `(highest score, sum of weights, weighted values)`.
pub fn cpu(stretches: &[(f64, f64, Vec<f64>)]) -> Vec<f64> {
    let highest = stretches.iter().map(|s| s.0).fold(f64::MIN, f64::max);
    let total: f64 = stretches.iter().map(|s| (s.0 - highest).exp() * s.1).sum();
    let width = stretches.first().map_or(0, |s| s.2.len());
    (0..width).map(|d| stretches.iter().map(|s| (s.0 - highest).exp() * s.2[d]).sum::<f64>() / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::attention::attention_stretch;
    use crate::kernels::check::{assert_close, numbers};

    #[test]
    fn joined_stretches_are_the_whole() {
        let (width, entries) = (6, 37);
        let data = numbers((1 + 2 * entries) * width, 55);
        let (query, rest) = data.split_at(width);
        let rows: Vec<&[f32]> = rest.chunks_exact(width).collect();
        let (keys, values) = rows.split_at(entries);
        let score = |key: &[f32]| {
            query.iter().zip(key).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>() / (width as f64).sqrt()
        };
        // Stretches of unequal length, each with its own highest score.
        let stretch = |range: std::ops::Range<usize>| {
            let scores: Vec<f64> = keys[range.clone()].iter().map(|key| score(key)).collect();
            let highest = scores.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
            let value = |d: usize| weights.iter().zip(&values[range.clone()]).map(|(w, v)| w * f64::from(v[d])).sum();
            (highest, weights.iter().sum(), (0..width).map(value).collect())
        };
        let joined: Vec<f32> =
            cpu(&[stretch(0..16), stretch(16..32), stretch(32..37)]).iter().map(|&x| x as f32).collect();
        assert_close("attention_merge", &joined, &attention_stretch::cpu(query, keys, values), 1e-6);
    }
}
