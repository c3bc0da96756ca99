//! The whole range of recursive networks on random weights: the GPU agrees with the judge, and pieces of any
//! length agree with one piece to the bit. Many of these crash in the reference implementation (KV sharing with
//! middle-sequence, token-choice with cycle, chunked prefill).

use isobath::gpu::{Gpu, Traits};
use isobath::judge::{Judge, Sequence};
use isobath::kernels::Granted;
use isobath::network::config::RouterKind;
use isobath::runtime::recipe::Recipe;
use isobath::runtime::state::{Room, State};
use isobath::runtime::step::{Depth, Input, Network, Step};
use isobath::runtime::weights::{Loader, Weights};
use pollster::block_on;

use crate::support::networks::{Model, of_the_family, with_router, without_router};

const TOKENS: u32 = 19;
const LANES: u32 = 3;

struct Loaded<'a> {
    model: &'a Model,
    gpu: &'a Gpu,
    weights: Weights,
    state: State,
    /// The device's own, or that of a GPU that tells nothing, whose sums may go in another order.
    recipe: Recipe,
}

/// Logits and depths of all lanes, `[lanes][tokens]`, computed in pieces.
type Run = (Vec<Vec<f32>>, Vec<u32>);

impl Loaded<'_> {
    fn run(&self, lanes: &[u32], pieces: &[u32], depth: Depth) -> Run {
        let model = self.model;
        let (gpu, config, plan) = (self.gpu, &model.config, &model.plan);
        let (weights, state, recipe) = (&self.weights, &self.state, &self.recipe);
        let network = Network { gpu, config, plan, weights, state, recipe };
        gpu.write(&self.state.lanes.lengths, 0, &vec![0u32; (LANES * plan.classes) as usize]);
        gpu.write(&self.state.lanes.reach, 0, &vec![0u32; (LANES * 64) as usize]);
        let vocabulary = config.vocab_size as usize;
        let mut logits = vec![vec![]; lanes.len() * TOKENS as usize];
        let mut depths = vec![0; logits.len()];
        let (mut from, mut pieces) = (0, pieces.iter().copied());
        while from < TOKENS {
            let to = (from + pieces.next().unwrap_or(1)).min(TOKENS);
            let input = |&lane: &u32| {
                (from..to).map(move |position| Input { lane, position, token: token(lane, position), written: false })
            };
            let inputs: Vec<Input> = lanes.iter().flat_map(input).collect();
            let heads: Vec<u32> = (0..inputs.len() as u32).collect();
            network.step(&Step { inputs: &inputs, heads: &heads, depth, sample: false }, None).expect("step");
            let n = inputs.len() as u64;
            let out: Vec<f32> = block_on(gpu.read(&self.state.rows.logits, 0..n * vocabulary as u64)).expect("read");
            let granted: Vec<Granted> = block_on(gpu.read(&self.state.rows.granted, 0..2 * n)).expect("read");
            for (row, input) in inputs.iter().enumerate() {
                let lane = lanes.iter().position(|&lane| lane == input.lane).unwrap();
                let at = lane * TOKENS as usize + input.position as usize;
                logits[at] = out[row * vocabulary..][..vocabulary].to_vec();
                depths[at] = granted[row].rounds;
            }
            from = to;
        }
        (logits, depths)
    }
}

fn token(lane: u32, position: u32) -> u32 {
    (lane * 31 + position * 17 + position * position) % 61
}

fn bits(run: &Run) -> Vec<u32> {
    run.0.iter().flatten().map(|x| x.to_bits()).chain(run.1.iter().copied()).collect()
}

/// Returns the number of decisions too close to be compared.
fn check(gpu: &Gpu, model: &Model) -> usize {
    [false, true].map(|own| check_kernels(gpu, model, own)).iter().sum()
}

fn check_kernels(gpu: &Gpu, model: &Model, own: bool) -> usize {
    let name = &model.name;
    let mut quiet = |_, _| {};
    let loader =
        Loader::new(gpu, &model.config, &model.source, &mut quiet).unwrap_or_else(|error| panic!("{name}: {error}"));
    let weights = block_on(loader.load(&model.plan)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let room = Room {
        lanes: LANES,
        context: 64,
        rows: LANES * TOKENS,
        heads: LANES * TOKENS,
        cache_tokens: u32::MAX,
        alternatives: 0,
        span: 1,
    };
    let state = block_on(State::new(gpu, &model.config, &model.plan, &weights, room)).expect("state");
    let recipe = if own { state.recipe.clone() } else { Recipe::new(&Traits::default(), LANES) };
    let loaded = Loaded { model, gpu, weights, state, recipe };
    let judge = Judge::new(&model.config, &model.plan, &model.source, 64).expect("reference");
    let expert = model.config.router.as_ref().is_some_and(|router| router.kind == RouterKind::Expert);
    let mut close = 0;
    for depth in [Depth::Model, Depth::Fixed(2), Depth::Together] {
        let whole = loaded.run(&[0, 1, 2], &[TOKENS], depth);
        for lane in 0..LANES {
            let tokens: Vec<u32> = (0..TOKENS).map(|position| token(lane, position)).collect();
            let want = judge.run(&mut Sequence::default(), &tokens, depth);
            let rows = (lane * TOKENS) as usize..((lane + 1) * TOKENS) as usize;
            if whole.1[rows.clone()] != want.granted {
                let nearest = want.scores.iter().flatten().filter(|z| **z != 0.0).fold(1f32, |a, z| a.min(z.abs()));
                assert!(nearest < 1e-4, "{name} {depth:?}: depths {:?}, want {:?}", &whole.1[rows], want.granted);
                close += 1;
                continue;
            }
            let largest = want.logits.iter().flatten().fold(1f32, |a, b| a.max(b.abs()));
            for (got, want) in whole.0[rows].iter().flatten().zip(want.logits.iter().flatten()) {
                assert!((got - want).abs() <= 2e-4 * largest, "{name} {depth:?}: got {got}, want {want}");
            }
        }
        if depth == Depth::Together && expert {
            continue; // not causal: pieces differ by its nature
        }
        for pieces in [&[][..], &[1, 7, 4], &[18]] {
            assert!(
                bits(&loaded.run(&[0, 1, 2], pieces, depth)) == bits(&whole),
                "{name} {depth:?}: pieces {pieces:?} change bits"
            );
        }
        let alone = loaded.run(&[1], &[5, 6], depth);
        let n = TOKENS as usize;
        let beside = (whole.0[n..2 * n].to_vec(), whole.1[n..2 * n].to_vec());
        assert!(bits(&alone) == bits(&beside), "{name} {depth:?}: company changes bits");
    }
    close
}

fn check_all(models: &[Model]) {
    let gpu =
        block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("these runs need a GPU adapter");
    let close: usize = models.iter().map(|model| check(&gpu, model)).sum();
    assert!(close * 20 <= models.len(), "{close} of {} models had decisions too close to compare", models.len());
}

#[test]
fn networks_without_a_router() {
    check_all(&without_router());
}

#[test]
fn networks_of_the_family() {
    check_all(&of_the_family());
}

#[test]
fn networks_with_a_router() {
    check_all(&with_router());
}
