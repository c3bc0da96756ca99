//! Draws the next token on the GPU: penalty, temperature, top-k, top-p, min-p, Gumbel noise.
//!
//! Shader: `shaders/draw/sample.wgsl`. The largest of logit + Gumbel noise is a draw from the softmax (Gumbel-max).

use crate::gpu::{Binding, Buffer, Kernel, Source, Traits};
use crate::kernels::by_subgroup;
use crate::kernels::draw::alternatives::drawn_words;
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Sample<'a> {
    /// `[lanes]` of [`Settings`]
    pub settings: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[lanes, seen_stride]`
    pub seen: &'a Buffer,
    /// `[places, stride]`
    pub logits: &'a Buffer,
    /// `[lanes, context]`: token at each position; the drawn one is left behind the row's
    pub history: &'a Buffer,
    /// `[places, words]`: token, bits of its log-probability, room for alternatives
    pub drawn: &'a Buffer,
    /// `[rows]`: tokens of guesses
    pub tokens: &'a Buffer,
    /// Alternatives that there is room for.
    pub alternatives: u32,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// A subgroup draws: sums and maxima need no workgroup memory, see [`Sample::by_subgroup`].
    pub subgroups: bool,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Number of tokens.
    pub vocabulary: u32,
    /// Numbers per row of logits.
    pub stride: u32,
    /// Words of a lane's set of seen tokens.
    pub seen_stride: u32,
    /// Positions of a lane in `history`.
    pub context: u32,
    /// First row of lane 0.
    pub base: u32,
    /// Rows of a lane.
    pub span: u32,
}
}

/// A lane's sampling settings as the GPU holds them.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Settings {
    /// 0: greedy.
    pub inverse_temperature: f32,
    /// 0: all.
    pub top_k: u32,
    /// 1: all.
    pub top_p: f32,
    /// 0: all.
    pub min_p: f32,
    /// 1: none.
    pub penalty: f32,
    /// Lower half of the seed.
    pub seed_low: u32,
    /// Upper half of the seed.
    pub seed_high: u32,
    /// Pads to 32 bytes.
    pub spare: u32,
}

impl Sample<'_> {
    /// Whether a subgroup is the faster one: it needs no barriers, but cannot look through a large vocabulary often enough
    /// where loops are ended.
    pub fn by_subgroup(traits: &Traits, vocabulary: u32) -> bool {
        let loops = loops(vocabulary, crate::kernels::SUBGROUP);
        by_subgroup(traits) && traits.max_loops.is_none_or(|most| loops <= most)
    }

    /// Threads of a workgroup.
    fn threads(&self) -> u32 {
        if self.subgroups { crate::kernels::SUBGROUP } else { crate::kernels::FOLD_THREADS }
    }
}

/// Passes through loops of a draw: five looks at each token, two cuts of 32 bits with one for two tokens at a time, sums and
/// maxima over the workgroup.
fn loops(vocabulary: u32, threads: u32) -> u32 {
    let looks = vocabulary.div_ceil(threads) + 1;
    5 * looks + 64 * (looks / 2 + 1) + 70 * 10
}

impl Kernel for Sample<'_> {
    const NAME: &'static str = "sample";
    type Params = Params;

    fn source(&self) -> Source {
        let fold = if self.subgroups { crate::kernels::FOLD_SUBGROUP } else { crate::kernels::FOLD };
        let text = include_str!("../../../shaders/draw/sample.wgsl");
        let parts = vec![text, crate::kernels::SEEN, crate::kernels::DRAW, fold];
        Source { parts, constants: vec![("DRAWN", drawn_words(self.alternatives))] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.settings.read(),
            self.rows.read(),
            self.list.read(),
            self.seen.read(),
            self.logits.read(),
            self.history.write(),
            self.drawn.write(),
            self.tokens.read(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        Some(loops(self.params.vocabulary, self.threads()))
    }
}

/// A word that looks like chance; see `shaders/lib/hash.wgsl`.
pub(crate) fn mix(value: u32, word: u32) -> u32 {
    let h = (value ^ word).wrapping_mul(0x9e37_79b1);
    let h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    let h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// What the twin draws, and how clear the draw was.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// The token.
    pub token: usize,
    /// Natural logarithm of its probability before penalty, temperature and filters.
    pub log_probability: f32,
    /// Lead of its noisy logit over the next.
    pub margin: f64,
    /// Tokens that the filters kept.
    pub kept: Vec<usize>,
}

/// CPU twin: one row of logits at `position`; `seen` tells which tokens the penalty falls on.
pub fn cpu(settings: &Settings, logits: &[f32], seen: &dyn Fn(usize) -> bool, position: u32) -> Draw {
    let penalty = f64::from(settings.penalty);
    let greedy = settings.inverse_temperature == 0.0;
    let factor = if greedy { 1.0 } else { f64::from(settings.inverse_temperature) };
    let adjust = |(i, &x): (usize, &f32)| {
        let x = f64::from(x);
        factor
            * if !seen(i) {
                x
            } else if x > 0.0 {
                x / penalty
            } else {
                x * penalty
            }
    };
    let adjusted: Vec<f64> = logits.iter().enumerate().map(adjust).collect();
    let mut kept: Vec<usize> = (0..logits.len()).collect();
    kept.sort_by(|&a, &b| adjusted[b].total_cmp(&adjusted[a]));
    let top = adjusted[kept[0]];
    if !greedy {
        if settings.top_k > 0 {
            // Ties with the k-th token stay.
            let least = adjusted[kept[(settings.top_k as usize).min(kept.len()) - 1]];
            kept.retain(|&i| adjusted[i] >= least);
        }
        let mass: f64 = kept.iter().map(|&i| (adjusted[i] - top).exp()).sum();
        if settings.top_p < 1.0 {
            let mut sum = 0.0;
            let reached = |&i: &usize| {
                sum += (adjusted[i] - top).exp();
                sum >= f64::from(settings.top_p) * mass
            };
            let last = kept.iter().position(reached).unwrap_or(kept.len() - 1);
            kept.truncate(last + 1);
        }
        if settings.min_p > 0.0 {
            kept.retain(|&i| adjusted[i] >= top + f64::from(settings.min_p).ln());
        }
    }
    let key = mix(mix(mix(0, settings.seed_low), settings.seed_high), position);
    let noisy = |&i: &usize| {
        let uniform = (f64::from(mix(key, i as u32) >> 8) + 0.5) / f64::from(1 << 24);
        if greedy { adjusted[i] } else { adjusted[i] - (-uniform.ln()).ln() }
    };
    let mut order: Vec<(f64, usize)> = kept.iter().map(|i| (noisy(i), *i)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let raw_top = logits.iter().copied().fold(f32::MIN, f32::max);
    let mass: f64 = logits.iter().map(|&x| f64::from(x - raw_top).exp()).sum();
    let token = order[0].1;
    Draw {
        token,
        log_probability: (f64::from(logits[token] - raw_top) - mass.ln()) as f32,
        margin: order.get(1).map_or(f64::INFINITY, |second| order[0].0 - second.0),
        kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Row;
    use crate::kernels::check::{Device, assert_close, numbers};

    const PLAIN: Settings = Settings {
        inverse_temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        penalty: 1.0,
        seed_low: 7,
        seed_high: 9,
        spare: 0,
    };

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for subgroups in [false].into_iter().chain(device.subgroups().then_some(true)) {
            judge(&device, subgroups);
        }
    }

    fn judge(device: &Device, subgroups: bool) {
        let settings = [
            Settings { inverse_temperature: 0.0, ..PLAIN },
            Settings { inverse_temperature: 0.0, penalty: 1.7, ..PLAIN },
            PLAIN,
            Settings { top_k: 3, inverse_temperature: 1.4, ..PLAIN },
            Settings { top_p: 0.6, ..PLAIN },
            Settings { min_p: 0.2, seed_low: 1, ..PLAIN },
            Settings { top_k: 40, top_p: 0.9, min_p: 0.05, penalty: 1.2, inverse_temperature: 1.25, ..PLAIN },
        ];
        let lanes = settings.len() as u32;
        let mut unclear = 0;
        // More tokens than a subgroup can look at as often as it takes.
        for vocabulary in [1u32, 31, 257, 1000, 20_000] {
            // Five rows of a step for each lane, then a span of three for each.
            let (base, span) = (lanes * 5, 3);
            let n_rows = base + lanes * span;
            let stride = vocabulary + 5;
            let logits: Vec<f32> = numbers((n_rows * stride) as usize, 71).iter().map(|x| x * 6.0).collect();
            let lane = |i: u32| if i < base { i % lanes } else { (i - base) / span };
            let context = 100 + n_rows;
            let rows: Vec<Row> =
                (0..n_rows).map(|i| Row { lane: lane(i), position: 100 + i, round: 0, kv_index: 0 }).collect();
            let tokens: Vec<u32> = (0..n_rows).map(|i| i * 7 % vocabulary).collect();
            let seen_stride = vocabulary.div_ceil(32);
            let seen = vec![0x1357_9bdfu32; (lanes * seen_stride) as usize];
            // Listed from the last row to the first: logits belong to places in the list.
            let list: Vec<u32> = std::iter::once(n_rows).chain((0..n_rows).rev()).collect();
            let drawn = device.poisoned(n_rows * 2);
            let history = device.upload(&vec![u32::MAX; (lanes * context) as usize]);
            device.run(&Sample {
                settings: &device.upload(&settings),
                rows: &device.upload(&rows),
                list: &device.upload(&list),
                seen: &device.upload(&seen),
                logits: &device.upload(&logits),
                history: &history,
                drawn: &drawn,
                tokens: &device.upload(&tokens),
                alternatives: 0,
                n_rows,
                subgroups: subgroups && Sample::by_subgroup(device.gpu.traits(), vocabulary),
                params: Params { vocabulary, stride, seen_stride, context, base, span },
            });
            let got = device.words(&drawn);
            let written = device.words(&history);
            for place in 0..n_rows {
                let at = list[1 + place as usize];
                let row = rows[at as usize];
                // A row has seen the guesses up to itself.
                let guesses = if at < base { 0 } else { (at - base) % span };
                let guessed = &tokens[(at - guesses + 1) as usize..][..guesses as usize];
                let own = &logits[(place * stride) as usize..][..vocabulary as usize];
                let is_seen = |i: usize| 0x1357_9bdfu32 >> (i % 32) & 1 == 1 || guessed.contains(&(i as u32));
                let want = cpu(&settings[row.lane as usize], own, &is_seen, row.position);
                let token = got[place as usize * 2] as usize;
                assert!(want.kept.contains(&token), "token {token} should have been filtered");
                if row.position + 1 < context {
                    assert_eq!(written[(row.lane * context + row.position + 1) as usize], token as u32);
                }
                if want.margin > 1e-4 {
                    assert_eq!(token, want.token, "place {place}");
                    let log_probability = f32::from_bits(got[place as usize * 2 + 1]);
                    assert_close("log-probability", &[log_probability], &[want.log_probability], 1e-5);
                } else {
                    unclear += 1;
                }
            }
        }
        assert!(unclear < 3, "{unclear} draws were too close to judge");
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [0.0, 1.0, 2.0];
        let mut counts = [0u32; 3];
        for position in 0..20_000 {
            counts[cpu(&PLAIN, &logits, &|_| false, position).token] += 1;
        }
        let total: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        for (i, &count) in counts.iter().enumerate() {
            let want = 20_000.0 * f64::from(logits[i]).exp() / total;
            // Five standard deviations.
            assert!((f64::from(count) - want).abs() < 5.0 * want.sqrt(), "{counts:?}");
        }
    }
}
