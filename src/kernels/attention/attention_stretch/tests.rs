//! Attention in tiles and by subgroups against its twin, whatever stands beside a row.

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
    held: Held,
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
        reached: 2,
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
            held: case.held,
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
            let there = |entry: &u32| case.held == Held::All || entry % 2 == 1;
            let seen: Vec<u32> = (entries.saturating_sub(case.window)..entries).filter(there).collect();
            let keys: Vec<_> = seen.iter().map(|&e| at(e, 0)).collect();
            let values: Vec<_> = seen.iter().map(|&e| at(e, 1)).collect();
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
        Case {
            heads: 1,
            kv_heads: 1,
            head_dim: 2,
            entries: vec![1],
            overlay: false,
            window: u32::MAX,
            held: Held::All,
        },
        Case {
            heads: 4,
            kv_heads: 2,
            head_dim: 6,
            entries: vec![1, 33, 64, 65, 2],
            overlay: false,
            window: u32::MAX,
            held: Held::All,
        },
        Case {
            heads: 9,
            kv_heads: 3,
            head_dim: 64,
            entries: vec![255, 256, 257, 700, 3, 64],
            overlay: true,
            window: u32::MAX,
            held: Held::All,
        },
        Case {
            heads: 4,
            kv_heads: 4,
            head_dim: 16,
            entries: vec![5, 6, 7, 8, 9, 10, 11],
            overlay: true,
            window: u32::MAX,
            held: Held::All,
        },
        // Windows that begin within a tile, at its end, in another stretch, and before the row's neighbours do.
        Case {
            heads: 4,
            kv_heads: 2,
            head_dim: 6,
            entries: vec![1, 33, 64, 65, 2],
            overlay: false,
            window: 32,
            held: Held::All,
        },
        Case {
            heads: 2,
            kv_heads: 1,
            head_dim: 8,
            entries: vec![700, 319, 320, 321, 20, 600],
            overlay: false,
            window: 64,
            held: Held::All,
        },
        Case {
            heads: 6,
            kv_heads: 2,
            head_dim: 16,
            entries: vec![900, 257, 256, 1, 513],
            overlay: true,
            window: 300,
            held: Held::All,
        },
        Case {
            heads: 2,
            kv_heads: 2,
            head_dim: 4,
            entries: vec![3, 260, 7],
            overlay: false,
            window: 1,
            held: Held::All,
        },
        // One stretch is all there is.
        Case {
            heads: 9,
            kv_heads: 3,
            head_dim: 64,
            entries: vec![255, 256, 1, 3, 64],
            overlay: true,
            window: u32::MAX,
            held: Held::All,
        },
        Case {
            heads: 6,
            kv_heads: 3,
            head_dim: 20,
            entries: vec![200, 17],
            overlay: false,
            window: 30,
            held: Held::All,
        },
        // Holes at every other entry, within a stretch, over several, and in a window.
        Case {
            heads: 9,
            kv_heads: 3,
            head_dim: 64,
            entries: vec![256, 2, 128, 66],
            overlay: false,
            window: u32::MAX,
            held: Held::Reached,
        },
        Case {
            heads: 4,
            kv_heads: 2,
            head_dim: 6,
            entries: vec![700, 322, 34, 2],
            overlay: false,
            window: u32::MAX,
            held: Held::Reached,
        },
        Case {
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            entries: vec![600, 258, 14],
            overlay: false,
            window: 300,
            held: Held::Reached,
        },
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
