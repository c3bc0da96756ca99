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
    /// First query head whose keys the binding holds.
    pub first_head: u32,
    /// KV heads that the binding holds.
    pub cache_heads: u32,
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
mod tests {
    use super::*;
    use crate::kernels::PAGE;
    use crate::kernels::Row;
    use crate::kernels::STRETCH;
    use crate::kernels::attention::attention_merge::{self, AttentionMerge};
    use crate::kernels::attention::attention_subgroup::AttentionSubgroup;
    use crate::kernels::check::{Device, assert_close, numbers};
    use crate::kernels::padded;
    use crate::kernels::products::gather::Inputs;

    #[derive(Clone, Copy, PartialEq)]
    enum Which {
        Tiles(Tile),
        Subgroup,
        /// That leaves whole results.
        SubgroupWhole,
    }

    struct Case {
        heads: u32,
        kv_heads: u32,
        head_dim: u32,
        /// Entries that each row sees.
        entries: Vec<u32>,
        overlay: bool,
        window: u32,
    }

    /// The KV heads from `first` on of a cache.
    fn piece(cache: &[f32], kv_heads: u32, first: u32, heads: u32, head_words: u32) -> Vec<f32> {
        let pages = cache.chunks_exact((kv_heads * head_words) as usize);
        pages.flat_map(|page| page[(first * head_words) as usize..][..(heads * head_words) as usize].to_vec()).collect()
    }

    /// Two lanes, two classes (rounds 0 and 1), pages dealt out backwards; odd positions ran round 1. The cache lies in so many
    /// bindings.
    fn check(device: &Device, case: &Case, kernel: Which, bindings: u32) -> Vec<u32> {
        let Case { heads, kv_heads, head_dim, .. } = *case;
        let n_rows = case.entries.len() as u32;
        let context = case.entries.iter().copied().max().unwrap().next_multiple_of(PAGE);
        let (classes, max_pages) = (2, context / PAGE);
        let n_pages = 2 * classes * max_pages;
        let pages: Vec<u32> = (0..n_pages).rev().collect();
        let head4 = head_dim.div_ceil(4);
        let cache = numbers((n_pages * kv_heads * 2 * PAGE * head4 * 4) as usize, 51);
        let stride = (heads + 2 * kv_heads) * head_dim;
        let qkv = numbers((n_rows * stride) as usize, 52);
        let lane_of = |row: u32| row / n_rows.div_ceil(2);
        let rows: Vec<Row> = (0..n_rows)
            .map(|i| Row { lane: lane_of(i), position: case.entries[i as usize] - 1, round: 1, kv_index: 0 })
            .collect();
        let reach: Vec<u32> = (0..2 * context).map(|i| 1 + i % 2).collect();
        let max_stretches = context.div_ceil(STRETCH);
        let partial = device.upload(&vec![f32::NAN; (n_rows * heads * max_stretches * (head4 + 1) * 4) as usize]);
        let output_stride = padded(heads * head_dim);
        let output = device.upload(&vec![0.0f32; (n_rows * output_stride) as usize]);
        let gathered = device.gpu.texture("test", u64::from(n_rows * output_stride) * 4).expect("texture");
        let made = Inputs { rows: output.clone(), gathered: Some(gathered.clone()) };
        let rows_buffer = device.upload(&rows);
        let list = device.upload(&std::iter::once(n_rows).chain(0..n_rows).collect::<Vec<_>>());
        let params = Params {
            heads,
            kv_heads,
            head_dim,
            stride,
            class_base: 0,
            class_step: 1,
            compact: 0,
            overlay: case.overlay.into(),
            classes,
            max_pages,
            max_stretches,
            context,
            window: case.window,
            scale: 1.0 / (head_dim as f32).sqrt(),
            output_stride: output_stride / 4,
            first_head: 0,
            cache_heads: kv_heads / bindings,
        };
        let [pages_buffer, reach] = [&pages, &reach].map(|words| device.upload(words));
        let qkv_buffer = device.upload(&qkv);
        let tile = if let Which::Tiles(tile) = kernel { tile } else { Tile { rows: 1, heads: 1 } };
        for binding in 0..bindings {
            let (first, held) = (binding * params.cache_heads, params.cache_heads);
            let attention = Attention {
                pages: &pages_buffer,
                qkv: &qkv_buffer,
                rows: &rows_buffer,
                list: &list,
                cache: &device.upload(&piece(&cache, kv_heads, first, held, 2 * PAGE * head4 * 4)),
                reach: &reach,
                partial: &partial,
                n_rows,
                longest: context,
                tile,
                params: Params { first_head: first * (heads / kv_heads), ..params },
            };
            match kernel {
                Which::Tiles(_) => device.run(&attention),
                Which::Subgroup => device.run(&AttentionSubgroup { attention, whole: None }),
                Which::SubgroupWhole => {
                    device.run(&AttentionSubgroup { attention, whole: Some(&made) });
                }
            }
        }
        let params = attention_merge::Params {
            heads,
            head_dim,
            stride: output_stride,
            compact: 0,
            max_stretches,
            window: case.window,
        };
        if kernel != Which::SubgroupWhole {
            device.run(&AttentionMerge {
                partial: &partial,
                rows: &rows_buffer,
                list: &list,
                output: &made,
                n_rows,
                params,
            });
        }
        let got = device.floats(&output);
        if head_dim.is_multiple_of(4) {
            assert_eq!(device.texture_floats(&gathered, n_rows, output_stride), got);
        }
        for (row, &entries) in case.entries.iter().enumerate() {
            for head in 0..heads {
                let kv_head = head / (heads / kv_heads);
                let at = |entry: u32, which: u32| {
                    let class = u32::from(!case.overlay || entry % 2 == 1);
                    let page = pages[((lane_of(row as u32) * classes + class) * max_pages + entry / PAGE) as usize];
                    let vector = ((page * kv_heads + kv_head) * 2 + which) * PAGE + entry % PAGE;
                    &cache[(vector * head4 * 4) as usize..][..head_dim as usize]
                };
                let seen = entries.saturating_sub(case.window)..entries;
                let keys: Vec<_> = seen.clone().map(|e| at(e, 0)).collect();
                let values: Vec<_> = seen.map(|e| at(e, 1)).collect();
                let query = &qkv[row * stride as usize + (head * head_dim) as usize..][..head_dim as usize];
                let start = row * output_stride as usize + (head * head_dim) as usize;
                assert_close("attention", &got[start..][..head_dim as usize], &cpu(query, &keys, &values), 1e-5);
            }
        }
        got.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn gpu_matches_cpu_whatever_the_company() {
        let device = Device::open();
        for case in [
            Case { heads: 1, kv_heads: 1, head_dim: 2, entries: vec![1], overlay: false, window: u32::MAX },
            Case {
                heads: 4,
                kv_heads: 2,
                head_dim: 6,
                entries: vec![1, 33, 64, 65, 2],
                overlay: false,
                window: u32::MAX,
            },
            Case {
                heads: 9,
                kv_heads: 3,
                head_dim: 64,
                entries: vec![255, 256, 257, 700, 3, 64],
                overlay: true,
                window: u32::MAX,
            },
            Case {
                heads: 4,
                kv_heads: 4,
                head_dim: 16,
                entries: vec![5, 6, 7, 8, 9, 10, 11],
                overlay: true,
                window: u32::MAX,
            },
            // Windows that begin within a tile, at its end, in another stretch, and before the row's neighbours do.
            Case { heads: 4, kv_heads: 2, head_dim: 6, entries: vec![1, 33, 64, 65, 2], overlay: false, window: 32 },
            Case {
                heads: 2,
                kv_heads: 1,
                head_dim: 8,
                entries: vec![700, 319, 320, 321, 20, 600],
                overlay: false,
                window: 64,
            },
            Case {
                heads: 6,
                kv_heads: 2,
                head_dim: 16,
                entries: vec![900, 257, 256, 1, 513],
                overlay: true,
                window: 300,
            },
            Case { heads: 2, kv_heads: 2, head_dim: 4, entries: vec![3, 260, 7], overlay: false, window: 1 },
            // One stretch is all there is.
            Case {
                heads: 9,
                kv_heads: 3,
                head_dim: 64,
                entries: vec![255, 256, 1, 3, 64],
                overlay: true,
                window: u32::MAX,
            },
            Case { heads: 6, kv_heads: 3, head_dim: 20, entries: vec![200, 17], overlay: false, window: 30 },
        ] {
            let largest = Tile::largest(case.heads, case.kv_heads, case.head_dim);
            let alone = check(&device, &case, Which::Tiles(Tile { rows: 1, heads: 1 }), 1);
            assert_eq!(alone, check(&device, &case, Which::Tiles(largest), 1), "bits depend on the rows beside");
            let split = check(&device, &case, Which::Tiles(largest), case.kv_heads);
            assert_eq!(alone, split, "bits depend on how many bindings hold the cache");
            if !device.subgroups() {
                continue;
            }
            let joined = check(&device, &case, Which::Subgroup, 1);
            assert_eq!(joined, check(&device, &case, Which::Subgroup, case.kv_heads), "as above");
            if case.head_dim.is_multiple_of(4) && case.entries.iter().all(|&entries| entries <= STRETCH) {
                assert_eq!(
                    joined,
                    check(&device, &case, Which::SubgroupWhole, case.kv_heads),
                    "bits depend on longer rows beside"
                );
            }
        }
    }
}
