//! Ticks against plain steps: whatever the order of the rounds, whoever arrives or leaves beside, each lane's tokens,
//! depths and log-probabilities are those of its sequence alone, to the bit.

use isobath::gpu::{Gpu, Traits};
use isobath::kernels::draw::sample::Settings;
use isobath::kernels::exits::finish::LaneEvent;
use isobath::kernels::{Control, Granted, NEXT_TOKEN};
use isobath::runtime::recipe::Recipe;
use isobath::runtime::state::{Room, State};
use isobath::runtime::step::{Depth, Input, Network, Step};
use isobath::runtime::tick::{Order, Tick};
use isobath::runtime::weights::{Loader, Weights};
use pollster::block_on;

use crate::support::networks::{Model, of_the_family, with_router, without_router};

const LANES: u32 = 4;
const TOKENS: u32 = 9;
const CONTEXT: u32 = 40;

/// What a lane writes: token, depth, bits of the log-probability.
type Written = Vec<(u32, u32, u32)>;

struct Sequence {
    prompt: Vec<u32>,
    forced: u32,
    /// The tick in which its prompt is read.
    arrives: usize,
}

fn sequences(rounds: u32) -> Vec<Sequence> {
    let sequence = |i: u32| Sequence {
        prompt: (0..3 + 4 * i).map(|position| (i * 31 + position * 17 + position * position) % 61).collect(),
        forced: [0, 2.min(rounds), 0, 1][i as usize],
        arrives: [0, 0, 3, 5][i as usize],
    };
    (0..LANES).map(sequence).collect()
}

struct Loaded<'a> {
    model: &'a Model,
    gpu: &'a Gpu,
    weights: Weights,
    state: State,
}

impl Loaded<'_> {
    fn network<'a>(&'a self, recipe: &'a Recipe) -> Network<'a> {
        let (gpu, config, plan) = (self.gpu, &self.model.config, &self.model.plan);
        Network { gpu, config, plan, weights: &self.weights, state: &self.state, recipe }
    }

    fn clear(&self) {
        let lanes = &self.state.lanes;
        for buffer in [&lanes.lengths, &lanes.reach, &lanes.control, &lanes.events, &lanes.seen, &lanes.live] {
            self.gpu.write(buffer, 0, &vec![0u32; buffer.bytes() as usize / 4]);
        }
        for lane in 0..LANES {
            let settings = Settings {
                inverse_temperature: if lane % 2 == 0 { 0.0 } else { 1.2 },
                top_p: 1.0,
                penalty: 1.1,
                seed_low: lane,
                ..bytemuck::Zeroable::zeroed()
            };
            self.gpu.write(&lanes.settings, u64::from(lane) * 32, &[settings]);
        }
    }

    /// One sequence by plain steps.
    fn alone(&self, lane: u32, sequence: &Sequence, recipe: &Recipe) -> Written {
        self.clear();
        let network = self.network(recipe);
        let depth = if sequence.forced > 0 { Depth::Fixed(sequence.forced) } else { Depth::Model };
        let n = sequence.prompt.len() as u32;
        let rows = |(position, &token): (usize, &u32)| Input { lane, position: position as u32, token, written: false };
        let mut inputs: Vec<Input> = sequence.prompt.iter().enumerate().map(rows).collect();
        let mut written = vec![];
        for position in n..n + TOKENS {
            let last = inputs.len() as u64 - 1;
            let heads = [last as u32];
            network.step(&Step { inputs: &inputs, heads: &heads, depth, sample: true }, None).unwrap();
            let drawn: Vec<u32> = block_on(self.gpu.read(&self.state.rows.drawn, 0..2)).unwrap();
            let granted: Vec<Granted> =
                block_on(self.gpu.read(&self.state.rows.granted, 2 * last..2 * last + 2)).unwrap();
            written.push((drawn[0], granted[0].rounds, drawn[1]));
            inputs = vec![Input { lane, position, token: NEXT_TOKEN, written: false }];
        }
        written
    }

    /// All sequences by ticks, arriving one after the other.
    fn together(&self, order: Order, sequences: &[Sequence], recipe: &Recipe) -> Vec<Written> {
        self.clear();
        let (network, lanes) = (self.network(recipe), &self.state.lanes);
        let mut written = vec![vec![]; sequences.len()];
        for tick in 0..60 {
            let mut pass = self.gpu.pass();
            pass.clear(&lanes.events);
            for (lane, sequence) in (0..).zip(sequences).filter(|(_, sequence)| sequence.arrives == tick) {
                let position = sequence.prompt.len() as u32;
                let control = Control {
                    phase: Control::READING,
                    serial: lane + 7,
                    position,
                    remaining: TOKENS,
                    forced: sequence.forced,
                    rows: 1,
                    ..Control::default()
                };
                self.gpu.write(&lanes.control, u64::from(lane) * size_of::<Control>() as u64, &[control]);
                let rows = |(position, &token): (usize, &u32)| Input {
                    lane,
                    position: position as u32,
                    token,
                    written: false,
                };
                let inputs: Vec<Input> = sequence.prompt.iter().enumerate().map(rows).collect();
                let depth = if sequence.forced > 0 { Depth::Fixed(sequence.forced) } else { Depth::Model };
                // One step per pass.
                let mut alone = self.gpu.pass();
                let step = Step { inputs: &inputs, heads: &[inputs.len() as u32 - 1], depth, sample: true };
                alone.clear(&lanes.events);
                network.record(&mut alone, &step, None).unwrap();
                network.finish(&mut alone, (&self.state.rows.heads, 1)).unwrap();
                alone.submit();
                self.collect(&mut written);
            }
            network
                .tick(
                    &mut pass,
                    &Tick { order, lanes: LANES, longest: CONTEXT, ragged: true, guesses: 0, guesses_before: 0 },
                )
                .unwrap();
            pass.submit();
            self.collect(&mut written);
        }
        written
    }

    fn collect(&self, written: &mut [Written]) {
        let events = &self.state.lanes.events;
        let words: Vec<u32> = block_on(self.gpu.read(events, 0..events.bytes() / 4)).unwrap();
        for event in LaneEvent::parse(&words, self.model.plan.n_rounds(), 0) {
            assert_eq!(event.serial, event.lane + 7);
            let lane = &mut written[event.lane as usize];
            lane.push((event.token, event.depth, event.log_probability.to_bits()));
            assert_eq!(event.ended, if lane.len() == TOKENS as usize { 2 } else { 0 });
        }
    }
}

fn check(gpu: &Gpu, model: &Model) -> bool {
    let name = &model.name;
    let mut quiet = |_, _| {};
    let loader = Loader::new(gpu, &model.config, &model.source, &mut quiet).unwrap();
    let weights = block_on(loader.load(&model.plan)).unwrap();
    let room =
        Room { lanes: LANES, context: CONTEXT, rows: 20, heads: 1, cache_tokens: u32::MAX, alternatives: 0, span: 1 };
    let state = block_on(State::new(gpu, &model.config, &model.plan, &weights, room)).unwrap();
    let loaded = Loaded { model, gpu, weights, state };
    let sequences = sequences(model.plan.n_rounds());
    let mixes = model.plan.mixable;
    // The device's own kernels, and those of a GPU that tells nothing, whose sums may go in another order.
    for recipe in [&loaded.state.recipe, &Recipe::new(&Traits::default(), LANES)] {
        let alone: Vec<Written> =
            (0..).zip(&sequences).map(|(lane, sequence)| loaded.alone(lane, sequence, recipe)).collect();
        for order in [Order::Waves, Order::Mixed] {
            if order == Order::Waves || mixes {
                let together = loaded.together(order, &sequences, recipe);
                for (lane, (got, want)) in together.iter().zip(&alone).enumerate() {
                    assert_eq!(got, want, "{name}: lane {lane} in {order:?}");
                }
            }
        }
    }
    mixes
}

fn check_all(models: &[Model]) {
    let gpu =
        block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("these runs need a GPU adapter");
    let mixed = models.iter().filter(|model| check(&gpu, model)).count();
    assert!(mixed >= 6, "only {mixed} of {} networks could mix rounds", models.len());
}

#[test]
fn networks_without_a_router() {
    check_all(&without_router());
}

#[test]
fn networks_with_a_router() {
    check_all(&with_router());
}

#[test]
fn networks_of_the_family() {
    check_all(&of_the_family());
}
