//! The scheduler against a model of a GPU that is late: who reads what whom wrote, who ends how, who waits how long.

use std::collections::{HashMap, VecDeque};

use isobath::schedule::{
    Begin, End, OVERTAKEN, Outcome, PAGE, Refusal, Report, Scheduler, SequenceId, Shape, Submission, TickPlan,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

// ------------------------------------------------------------------------------------------------------- the model

/// Everything a row computes depends on the tokens up to it and on the key: a hash stands for it.
fn mix(state: u64, value: u64) -> u64 {
    let mixed = (state ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 29)
}

/// A network: its depths and tokens are functions of what came before.
#[derive(Debug, Clone, Copy)]
struct Network {
    key: u64,
    limit: u32,
    forced: bool,
    /// One token of so many ends the text.
    ends: u64,
}

impl Network {
    fn of(shape: &Shape, submission: &Submission, ends: u64) -> Self {
        let limit = submission.depth.unwrap_or(shape.rounds).min(shape.rounds);
        Self { key: submission.key, limit, forced: submission.depth.is_some(), ends }
    }

    /// Hash of each prefix.
    fn states(self, tokens: &[u32]) -> Vec<u64> {
        let step = |state: &mut u64, &token: &u32| {
            *state = mix(*state, u64::from(token));
            Some(*state)
        };
        tokens.iter().scan(mix(77, self.key), step).collect()
    }

    /// Depth of the row whose prefix has this hash.
    fn depth(self, state: u64) -> u8 {
        (if self.forced { self.limit } else { 1 + (mix(state, 3) % u64::from(self.limit.max(1))) as u32 }) as u8
    }

    /// The token it predicts, and whether that ends the text.
    fn next(self, state: u64) -> (u32, bool) {
        let drawn = mix(state, 5);
        ((drawn % 3) as u32, (drawn >> 20).is_multiple_of(self.ends))
    }
}

/// Tokens written and the end, when a sequence runs alone.
fn alone(shape: &Shape, submission: &Submission, ends: u64) -> (Vec<u32>, End) {
    let network = Network::of(shape, submission, ends);
    let mut tokens = submission.prompt.clone();
    loop {
        let (token, last) = network.next(*network.states(&tokens).last().unwrap());
        tokens.push(token);
        let written = tokens.len() - submission.prompt.len();
        let end = if last {
            End::EndOfSequence
        } else if written == submission.max_tokens as usize {
            End::Length
        } else if tokens.len() == shape.context as usize {
            End::ContextFull
        } else {
            continue;
        };
        return (tokens.split_off(submission.prompt.len()), end);
    }
}

// --------------------------------------------------------------------------------------------------------- the GPU

/// What was written into a place of a page.
type Entry = Option<(u32, u64)>;

#[derive(Debug, Clone)]
struct Lane {
    begin: Begin,
    network: Network,
    tokens: Vec<u32>,
    states: Vec<u64>,
    depths: Vec<u8>,
    lengths: Vec<u32>,
    remaining: u32,
    /// It decodes: has drawn a token that was not run yet.
    going: bool,
}

struct Gpu {
    shape: Shape,
    /// A lane decodes in the tick of its last chunk already.
    eager: bool,
    pools: [Vec<[Entry; PAGE as usize]>; 2],
    /// Pages by lane, class and index.
    table: HashMap<(u32, u32, u32), u32>,
    lanes: Vec<Option<Lane>>,
}

impl Gpu {
    fn new(shape: Shape, eager: bool) -> Self {
        let pools = shape.pages.map(|pages| vec![[None; PAGE as usize]; pages as usize]);
        Self { shape, eager, pools, table: HashMap::new(), lanes: vec![None; shape.lanes as usize] }
    }

    fn perform(&mut self, plan: &TickPlan, networks: &HashMap<SequenceId, Network>) -> Vec<Report> {
        for &lane in &plan.stops {
            self.lanes[lane as usize] = None;
        }
        for copy in &plan.copies {
            let pool = &mut self.pools[copy.pool as usize];
            pool[copy.to as usize] = pool[copy.from as usize];
            assert!(plan.copies.iter().all(|other| other.pool != copy.pool || other.from != copy.to), "to and from");
            let targets = plan.copies.iter().filter(|other| (other.pool, other.to) == (copy.pool, copy.to));
            assert_eq!(targets.count(), 1, "two copies into one page");
        }
        for begin in &plan.begins {
            self.begin(begin, networks[&begin.sequence]);
        }
        for write in &plan.pages {
            assert!(write.index < self.shape.context.div_ceil(PAGE));
            self.table.insert((write.lane, write.class, write.index), write.page);
        }
        let mut reports = Vec::new();
        let mut decoding: Vec<u32> = (0..self.shape.lanes).filter(|&lane| self.goes(lane)).collect();
        for chunk in &plan.chunks {
            let lane = self.lanes[chunk.lane as usize].as_ref().unwrap();
            assert_eq!((lane.begin.serial, lane.begin.sequence), (chunk.serial, chunk.sequence));
            assert_eq!(lane.tokens.len(), chunk.start as usize);
            let depths = chunk.tokens.iter().map(|&token| self.row(chunk.lane, token)).collect();
            reports.push(Report::Chunk { lane: chunk.lane, serial: chunk.serial, depths });
            if chunk.last {
                reports.push(self.draw(chunk.lane));
                decoding.extend(Some(chunk.lane).filter(|&lane| self.eager && self.goes(lane)));
            }
        }
        assert!(
            decoding.len() <= plan.decoding as usize,
            "{} lanes decode, {} were told",
            decoding.len(),
            plan.decoding
        );
        for lane in decoding {
            self.decode(lane, &mut reports);
        }
        reports
    }

    /// Runs the token that was drawn last and guesses behind it, and tells of all that were right; where the text ends
    /// in the middle, of what stands behind its end as well.
    fn decode(&mut self, lane: u32, reports: &mut Vec<Report>) {
        let next = |gpu: &Self| {
            let running = gpu.lanes[lane as usize].as_ref().unwrap();
            let state = *running.states.last().unwrap();
            (running.network.next(state).0, mix(state, 11))
        };
        // No row is run that nothing may follow.
        let rows = self.shape.span.min(self.lanes[lane as usize].as_ref().unwrap().remaining);
        for row in 0..rows {
            let (token, chance) = next(self);
            if row > 0 && chance.is_multiple_of(3) {
                let before = self.lanes[lane as usize].clone();
                for guess in row..rows {
                    self.row(lane, token + guess);
                }
                self.lanes[lane as usize] = before;
                return;
            }
            self.row(lane, token);
            let going = row == 0 || self.goes(lane);
            reports.push(self.draw(lane));
            self.lanes[lane as usize].as_mut().unwrap().going &= going;
        }
    }

    fn goes(&self, lane: u32) -> bool {
        self.lanes[lane as usize].as_ref().is_some_and(|lane| lane.going)
    }

    fn begin(&mut self, begin: &Begin, network: Network) {
        let states = network.states(&begin.tokens);
        let depths: Vec<u8> = states.iter().map(|&state| network.depth(state)).collect();
        assert_eq!(begin.depths, depths, "depths of what is cached");
        // Pages of whoever was here before must not be taken for this one's.
        self.table.retain(|&(lane, _, _), _| lane != begin.lane);
        self.lanes[begin.lane as usize] = Some(Lane {
            network,
            states,
            depths,
            tokens: begin.tokens.clone(),
            lengths: begin.lengths.clone(),
            remaining: begin.remaining,
            going: false,
            begin: begin.clone(),
        });
    }

    /// Runs a token: writes its entries, and checks all that it reads.
    fn row(&mut self, lane: u32, token: u32) -> u8 {
        let running = self.lanes[lane as usize].as_mut().unwrap();
        let state = mix(running.states.last().copied().unwrap_or(mix(77, running.network.key)), u64::from(token));
        let depth = running.network.depth(state);
        running.tokens.push(token);
        running.states.push(state);
        running.depths.push(depth);
        assert!(running.tokens.len() < self.shape.context as usize, "a row beyond the context");
        let limit = running.network.limit;
        let runs = |class: u32, depth: u8| class == 0 || class <= u32::from(depth);
        for class in (0..self.shape.classes).filter(|&class| class <= limit) {
            let counted = runs(class, depth) || !self.shape.compact;
            let length = &mut running.lengths[class as usize];
            if runs(class, depth) {
                let page = self.table.get(&(lane, class, *length / PAGE)).expect("a page for what is written");
                self.pools[usize::from(class > 0)][*page as usize][(*length % PAGE) as usize] = Some((class, state));
            }
            *length += u32::from(counted);
            let mut index = 0;
            for (&state, &depth) in running.states.iter().zip(&running.depths) {
                if runs(class, depth) {
                    let page = self.table[&(lane, class, index / PAGE)];
                    let found = self.pools[usize::from(class > 0)][page as usize][(index % PAGE) as usize];
                    assert_eq!(found, Some((class, state)), "entry {index} of class {class}");
                }
                index += u32::from(runs(class, depth) || !self.shape.compact);
            }
            assert_eq!(index, running.lengths[class as usize], "length of class {class}");
        }
        depth
    }

    fn draw(&mut self, lane: u32) -> Report {
        let running = self.lanes[lane as usize].as_mut().unwrap();
        let (token, last) = running.network.next(*running.states.last().unwrap());
        running.remaining -= 1;
        running.going = !last && running.remaining > 0;
        let end = match last {
            true => Some(End::EndOfSequence),
            false => (running.remaining == 0).then_some(End::Length),
        };
        let depth = *running.depths.last().unwrap();
        Report::Token { lane, serial: running.begin.serial, token, depth, end }
    }
}

// ------------------------------------------------------------------------------------------------------ the caller

/// What a sequence has got so far.
#[derive(Debug)]
struct Story {
    submission: Submission,
    ordinal: usize,
    written: Vec<u32>,
    waiting: bool,
    overtaken: u32,
    end: Option<End>,
}

struct World {
    scheduler: Scheduler,
    gpu: Gpu,
    ends: u64,
    networks: HashMap<SequenceId, Network>,
    stories: Vec<Story>,
    under_way: VecDeque<TickPlan>,
    /// Who was put into a lane last.
    owners: HashMap<u32, SequenceId>,
    /// Tokens to read and to write.
    work: u64,
}

impl World {
    fn new(shape: Shape, ends: u64, eager: bool) -> Self {
        Self {
            scheduler: Scheduler::new(shape).unwrap(),
            gpu: Gpu::new(shape, eager),
            ends,
            networks: HashMap::new(),
            stories: Vec::new(),
            under_way: VecDeque::new(),
            owners: HashMap::new(),
            work: 0,
        }
    }

    fn submit(&mut self, mut submission: Submission) -> Result<SequenceId, Refusal> {
        let ordinal = self.stories.len();
        let id = SequenceId(ordinal as u64);
        submission.id = id;
        self.scheduler.submit(submission.clone())?;
        self.networks.insert(id, Network::of(&self.gpu.shape, &submission, self.ends));
        self.work += submission.prompt.len() as u64 + u64::from(submission.max_tokens.min(self.gpu.shape.context));
        self.stories.push(Story { submission, ordinal, written: vec![], waiting: true, overtaken: 0, end: None });
        Ok(id)
    }

    fn cancel(&mut self, id: SequenceId) {
        let outcome = self.scheduler.cancel(id);
        let story = &mut self.stories[id.0 as usize];
        assert_eq!(outcome.is_some(), story.end.is_none());
        if outcome.is_some() {
            assert!(
                matches!(outcome, Some(Outcome::Finished { sequence, end: End::Cancelled, .. }) if sequence == id),
                "{outcome:?}"
            );
            story.end = Some(End::Cancelled);
            story.waiting = false;
        }
    }

    fn tick(&mut self) -> bool {
        let Some(plan) = self.scheduler.next_tick() else { return false };
        let read: usize = plan.chunks.iter().map(|chunk| chunk.tokens.len()).sum();
        assert!(read <= self.gpu.shape.chunk as usize);
        for chunk in &plan.chunks {
            let submission = &self.stories[chunk.sequence.0 as usize].submission;
            let together = submission.together;
            let whole = chunk.start == 0 && chunk.tokens.len() == together as usize;
            let behind = chunk.start >= together && chunk.tokens.len() == 1;
            assert!(together == 0 || whole || behind, "what is judged together was cut");
        }
        let stopped: Vec<SequenceId> = plan.stops.iter().filter_map(|lane| self.owners.remove(lane)).collect();
        self.owners.retain(|_, id| self.stories[id.0 as usize].end.is_none());
        for id in stopped {
            let story = &mut self.stories[id.0 as usize];
            // Cancelled, or preempted: then it waits again, and those who stay are older.
            story.waiting = story.end.is_none();
            assert!(!story.waiting || self.owners.values().all(|stays| *stays < id), "not the youngest was preempted");
        }
        for begin in &plan.begins {
            self.begun(begin);
        }
        self.under_way.push_back(plan);
        true
    }

    fn begun(&mut self, begin: &Begin) {
        let id = begin.sequence.0 as usize;
        self.owners.insert(begin.lane, begin.sequence);
        for story in self.stories[..id].iter_mut().filter(|story| story.waiting) {
            story.overtaken += 1;
            assert!(story.overtaken <= OVERTAKEN, "sequence {} was overtaken too often", story.ordinal);
        }
        let story = &mut self.stories[id];
        story.waiting = false;
        assert_eq!(begin.written as usize, story.written.len());
        let known = story.submission.prompt.len() + story.written.len();
        assert_eq!(begin.reads as usize, known);
        assert!(begin.tokens.len() < known, "a token must be left to compute");
        assert!(story.submission.together == 0 || begin.tokens.is_empty());
        assert!(story.submission.prompt.iter().chain(&story.written).zip(&begin.tokens).all(|(a, b)| a == b));
    }

    fn report(&mut self) -> bool {
        let Some(plan) = self.under_way.pop_front() else { return false };
        let reports = self.gpu.perform(&plan, &self.networks);
        for outcome in self.scheduler.report(plan.number, &reports) {
            match outcome {
                Outcome::Token { sequence, lane, index, report } => {
                    let Report::Token { lane: told, token, .. } = reports[report] else { panic!("no token") };
                    assert_eq!(lane, told);
                    let story = &mut self.stories[sequence.0 as usize];
                    assert!(story.end.is_none(), "a token behind the end");
                    assert_eq!(story.written.len(), index as usize, "a token was told twice, or not");
                    story.written.push(token);
                }
                Outcome::Prefilled { done, total, .. } => assert!(done <= total),
                Outcome::Finished { sequence, end, .. } => {
                    let story = &mut self.stories[sequence.0 as usize];
                    assert_eq!(story.end.replace(end), None, "two ends");
                }
            }
        }
        true
    }

    /// Goes on until all have ended.
    fn finish(&mut self, late: usize) {
        // However often its work was in vain: with the oldest proceeding in every tick, this many suffice.
        let mut ticks = 100 + 10 * self.work;
        while !self.scheduler.is_idle() || !self.under_way.is_empty() {
            let ticked = self.tick();
            if !ticked || self.under_way.len() > late {
                assert!(self.report() || ticked || self.scheduler.is_idle(), "nothing to do, and not idle");
            }
            ticks = ticks.checked_sub(1).expect("a sequence starves");
        }
    }

    /// All ended once, with what they would have written alone; no page is lost.
    fn check(&mut self) {
        for story in &self.stories {
            let (tokens, end) = alone(&self.gpu.shape, &story.submission, self.ends);
            match story.end.expect("a sequence without an end") {
                End::Cancelled => assert!(tokens.starts_with(&story.written)),
                told => assert_eq!((&story.written, told), (&tokens, end)),
            }
        }
        self.scheduler.next_tick();
        let pages = self.gpu.shape.pages;
        let statistics = self.scheduler.occupancy();
        assert_eq!((statistics.waiting, statistics.running, statistics.pages_used), (0, 0, [0, 0]));
        assert_eq!([0, 1].map(|pool| statistics.pages_free[pool] + statistics.pages_cached[pool]), pages);
        self.scheduler.forget_prefixes();
        assert_eq!(self.scheduler.occupancy().pages_free, pages);
    }
}

// ------------------------------------------------------------------------------------------------- random stories

#[derive(Debug, Clone)]
enum Step {
    Submit(Submission),
    Cancel(prop::sample::Index),
    Tick,
    Report,
    Forget,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let classes = prop_oneof![
        4 => (1..4u32).prop_map(|rounds| (1 + rounds, rounds, true)),
        1 => (1..4u32).prop_map(|rounds| (1 + rounds, rounds, false)),
        1 => Just((2, 3, false)),
        1 => Just((1, 3, false)),
    ];
    // Pools of a few pages more than a sequence may need alone, so that preemption is the rule.
    (1..5u32, 1..5u32, 40..200u32, 1..70u32, classes, 0..8u32, 0..12u32, prop::bool::weighted(0.8)).prop_map(
        |(lanes, span, context, chunk, (classes, rounds, compact), more, more_rounds, prefix_cache)| {
            let alone = (context - 1).div_ceil(PAGE);
            let pages = [alone + more, (classes - 1) * alone + more_rounds];
            Shape { lanes, context, chunk, classes, rounds, ticks_per_token: 1, span, compact, pages, prefix_cache }
        },
    )
}

fn submissions(shape: Shape) -> impl Strategy<Value = Submission> {
    let depth = prop_oneof![3 => Just(None), 1 => (1..=shape.rounds).prop_map(Some)];
    let priority = prop_oneof![3 => Just(0), 1 => 0..4u8];
    let tail = prop::collection::vec(0..3u32, 0..6);
    (
        0..shape.context,
        tail,
        1..120u32,
        depth,
        priority,
        0..2u64,
        prop_oneof![9 => Just(0), 1 => 1..=shape.chunk],
        0..4u32,
    )
        .prop_map(move |(common, tail, max_tokens, depth, priority, key, together, kind)| {
            // Beginnings of four long texts, one of them monotonous: most prompts begin like another.
            let mut prompt: Vec<u32> = (0..common).map(|i| (i * kind / 7) % 3).chain(tail).collect();
            prompt.truncate(shape.context as usize - 1);
            if prompt.is_empty() {
                prompt.push(1);
            }
            // The rest of the prompt was written by another engine.
            let length = prompt.len() as u32;
            let key = 10 * key + depth.map_or(0, u64::from);
            Submission {
                id: SequenceId(0),
                prompt,
                max_tokens,
                depth,
                priority,
                key,
                together: together.min(length),
                shared: u32::MAX,
            }
        })
}

fn stories() -> impl Strategy<Value = (Shape, u64, bool, usize, Vec<Step>)> {
    (shapes(), 20..200u64, any::<bool>(), 0..5usize).prop_flat_map(|(shape, ends, eager, late)| {
        let step = prop_oneof![
            3 => submissions(shape).prop_map(Step::Submit),
            1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
            12 => Just(Step::Tick),
            8 => Just(Step::Report),
            1 => prop::bool::weighted(0.4).prop_map(|forget| if forget { Step::Forget } else { Step::Tick }),
        ];
        (Just(shape), Just(ends), Just(eager), Just(late), prop::collection::vec(step, 0..250))
    })
}

fn live(shape: Shape, ends: u64, eager: bool, late: usize, steps: Vec<Step>) -> World {
    let mut world = World::new(shape, ends, eager);
    for step in steps {
        match step {
            Step::Submit(submission) => drop(world.submit(submission).unwrap()),
            Step::Cancel(_) if world.stories.is_empty() => {}
            Step::Cancel(index) => world.cancel(SequenceId(index.index(world.stories.len()) as u64)),
            Step::Tick => {
                if world.under_way.len() > late {
                    world.report();
                }
                world.tick();
            }
            Step::Report => {
                world.report();
            }
            Step::Forget => world.scheduler.forget_prefixes(),
        }
    }
    world.finish(late);
    world.check();
    world
}

#[test]
fn every_sequence_is_written_as_if_alone() {
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let seen = std::cell::Cell::new([0; 3]);
    let result = TestRunner::new(config).run(&stories(), |(shape, ends, eager, late, steps)| {
        let statistics = live(shape, ends, eager, late, steps).scheduler.occupancy();
        let more = [statistics.preemptions, statistics.prefix_hit_tokens, statistics.copied_pages];
        let sum = seen.get();
        seen.set([0, 1, 2].map(|i| sum[i] + more[i]));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let [preemptions, hits, copies] = seen.get();
    println!("{preemptions} preemptions, {hits} tokens from the prefix cache, {copies} pages copied");
    assert!(preemptions > 100 && hits > 5_000 && copies > 50, "the stories are too simple");
}

// ------------------------------------------------------------------------------------------------- chosen stories

const SHAPE: Shape = Shape {
    lanes: 4,
    context: 256,
    chunk: 32,
    classes: 4,
    rounds: 3,
    ticks_per_token: 1,
    span: 1,
    compact: true,
    pages: [32, 96],
    prefix_cache: true,
};

fn plain(prompt: Vec<u32>, max_tokens: u32) -> Submission {
    let id = SequenceId(0);
    Submission { id, prompt, max_tokens, depth: None, priority: 0, key: 0, together: 0, shared: u32::MAX }
}

const NEVER: u64 = u64::MAX;

#[test]
fn pages_are_the_kernels_pages() {
    assert_eq!(PAGE, isobath::kernels::PAGE);
}

#[test]
fn a_prompt_read_before_is_not_read_again() {
    let mut world = World::new(SHAPE, NEVER, false);
    let prompt: Vec<u32> = (0..100).collect();
    world.submit(plain(prompt.clone(), 40)).unwrap();
    world.finish(2);
    world.submit(plain(prompt.clone(), 40)).unwrap();
    // A second turn: the prompt, what was written, and more.
    let mut turn = [prompt.clone(), world.stories[0].written.clone(), vec![1, 2, 3]].concat();
    world.submit(plain(turn.clone(), 5)).unwrap();
    turn[0] = 9;
    world.submit(plain(turn, 5)).unwrap();
    world.finish(2);
    let statistics = world.scheduler.occupancy();
    assert_eq!(statistics.prefix_hit_tokens, 96 + 128);
    assert!(statistics.copied_pages > 0, "pages of compact classes are shared in part");
    world.check();
}

#[test]
fn chunks_ride_along_and_decoding_never_waits() {
    let mut world = World::new(SHAPE, NEVER, false);
    let first = world.submit(plain(vec![1; 8], 60)).unwrap();
    world.tick();
    world.submit(plain(vec![2; 200], 4)).unwrap();
    for _ in 0..6 {
        world.tick();
        let plan = world.under_way.back().unwrap();
        assert_eq!((plan.decoding, plan.chunks[0].tokens.len()), (1, 32));
    }
    while world.report() {}
    assert_eq!(world.stories[first.0 as usize].written.len(), 7, "a token in each tick");
    world.finish(0);
    world.check();
}

#[test]
fn the_youngest_leaves_when_pages_run_out() {
    // Room for the first to grow to the end, not for both.
    let shape = Shape { pages: [6, 18], chunk: 64, prefix_cache: false, ..SHAPE };
    let mut world = World::new(shape, NEVER, false);
    let depth = Some(3);
    world.submit(Submission { depth, ..plain(vec![1; 30], 140) }).unwrap();
    world.submit(Submission { depth, priority: 5, ..plain(vec![2; 30], 140) }).unwrap();
    world.finish(3);
    // Once only: it does not come back before there is room for both.
    assert_eq!(world.scheduler.occupancy().preemptions, 1);
    world.check();
}

#[test]
fn who_would_be_preempted_at_once_does_not_begin() {
    let shape = Shape { pages: [6, 18], prefix_cache: false, ..SHAPE };
    let mut world = World::new(shape, NEVER, false);
    for _ in 0..2 {
        world.submit(plain(vec![1; 150], 5)).unwrap();
    }
    world.tick();
    assert_eq!(world.scheduler.occupancy().running, 1, "the first will want all pages for its prompt");
    world.finish(1);
    assert_eq!(world.scheduler.occupancy().preemptions, 0);
    world.check();
}

#[test]
fn the_bound_on_overtaking_is_reached_and_kept() {
    let shape = Shape { lanes: 1, ..SHAPE };
    let mut world = World::new(shape, NEVER, false);
    world.submit(Submission { priority: 9, ..plain(vec![1], 2) }).unwrap();
    world.tick();
    world.submit(plain(vec![1], 2)).unwrap();
    world.submit(Submission { priority: 1, ..plain(vec![1], 2) }).unwrap();
    (0..100).for_each(|_| drop(world.submit(Submission { priority: 9, ..plain(vec![1], 2) })));
    world.finish(1);
    assert_eq!([1, 2].map(|i: usize| world.stories[i].overtaken), [OVERTAKEN; 2]);
    world.check();
}

#[test]
fn what_could_never_run_is_refused() {
    let mut scheduler = Scheduler::new(Shape { pages: [2, 6], ..SHAPE }).unwrap();
    let mut refused = |submission| scheduler.submit(submission).unwrap_err();
    assert_eq!(refused(plain(vec![], 1)), Refusal::EmptyPrompt);
    assert_eq!(refused(plain(vec![1], 0)), Refusal::NothingToWrite);
    assert_eq!(refused(plain(vec![1; 256], 1)), Refusal::PromptTooLong { tokens: 256, most: 255 });
    let whole = Submission { together: 33, ..plain(vec![1; 33], 1) };
    assert_eq!(refused(whole), Refusal::PromptExceedsChunk { tokens: 33, most: 32 });
    assert_eq!(refused(plain(vec![1; 60], 6)), Refusal::CacheTooSmall { needed: [3, 9], pages: [2, 6] });
    assert_eq!(scheduler.submit(plain(vec![1; 60], 5)), Ok(()));
    assert_eq!(scheduler.submit(plain(vec![1; 60], 5)), Err(Refusal::NameInUse(SequenceId(0))));
}

#[test]
fn tokens_of_a_span_are_told_in_order_and_none_behind_the_end() {
    let shape = Shape { span: 3, ..SHAPE };
    let mut scheduler = Scheduler::new(shape).unwrap();
    let ids = [SequenceId(0), SequenceId(1)];
    for id in ids {
        scheduler.submit(Submission { id, ..plain(vec![1; 4], 9) }).unwrap();
    }
    let first = scheduler.next_tick().unwrap();
    let serials: Vec<u32> = first.begins.iter().map(|begin| begin.serial).collect();
    let token = |lane: u32, token, end| Report::Token { lane, serial: serials[lane as usize], token, depth: 1, end };
    let chunk = |lane: u32| Report::Chunk { lane, serial: serials[lane as usize], depths: vec![2; 4] };
    scheduler.report(0, &[chunk(0), token(0, 5, None), chunk(1), token(1, 5, None)]);
    scheduler.next_tick().unwrap();
    let told = |sequence: u32, index, report| {
        let (sequence, lane) = (ids[sequence as usize], sequence);
        Outcome::Token { sequence, lane, index, report }
    };
    let ended = |sequence: u32, end| Outcome::Finished { sequence: ids[sequence as usize], lane: Some(sequence), end };
    // Two lanes in turns; the first ends in the middle of what is told of it.
    let reports = [
        token(0, 6, None),
        token(0, 7, Some(End::EndOfSequence)),
        token(1, 6, None),
        token(0, 8, None),
        token(1, 7, None),
        token(1, 8, None),
    ];
    let outcomes =
        [told(0, 1, 0), told(0, 2, 1), ended(0, End::EndOfSequence), told(1, 1, 2), told(1, 2, 4), told(1, 3, 5)];
    assert_eq!(scheduler.report(1, &reports), outcomes);
    // The scheduler itself finds an end in the middle: nine tokens, of which four are written.
    scheduler.next_tick().unwrap();
    scheduler.next_tick().unwrap();
    let three = [9, 10, 11].map(|drawn| token(1, drawn, None));
    assert_eq!(scheduler.report(2, &three), [told(1, 4, 0), told(1, 5, 1), told(1, 6, 2)]);
    let outcomes = [told(1, 7, 0), told(1, 8, 1), ended(1, End::Length)];
    assert_eq!(scheduler.report(3, &three), outcomes);
    assert!(scheduler.is_idle());
}

#[test]
fn what_a_span_may_write_has_pages_and_a_cancelled_one_tells_no_more() {
    let pages = |span: u32| {
        let mut scheduler = Scheduler::new(Shape { span, ..SHAPE }).unwrap();
        // Read in one chunk; a token is drawn and may be run with guesses behind it, in the same tick.
        scheduler.submit(plain(vec![1; PAGE as usize - 2], 90)).unwrap();
        let plan = scheduler.next_tick().unwrap();
        (plan.pages.len(), plan.begins[0].serial, scheduler)
    };
    assert_eq!([pages(1).0, pages(2).0, pages(3).0], [4, 4, 8], "a page more of each class for the third row");
    let (_, serial, mut scheduler) = pages(3);
    assert!(scheduler.cancel(SequenceId(0)).is_some());
    let late: Vec<Report> = (0..3).map(|token| Report::Token { lane: 0, serial, token, depth: 1, end: None }).collect();
    assert_eq!(scheduler.report(0, &late), []);
    assert_eq!(scheduler.occupancy().pages_used, [0, 0]);
}

#[test]
fn reports_that_come_too_late_are_dropped() {
    let mut scheduler = Scheduler::new(SHAPE).unwrap();
    scheduler.submit(plain(vec![1; 4], 9)).unwrap();
    let first = scheduler.next_tick().unwrap();
    let late = Report::Token { lane: 0, serial: first.begins[0].serial, token: 7, depth: 1, end: None };
    assert!(scheduler.cancel(SequenceId(0)).is_some());
    assert!(scheduler.cancel(SequenceId(0)).is_none());
    scheduler.submit(plain(vec![2; 4], 9)).unwrap();
    let second = scheduler.next_tick().unwrap();
    assert_eq!((second.stops.as_slice(), second.begins[0].lane), (&[0][..], 0));
    assert_eq!(scheduler.report(0, std::slice::from_ref(&late)), []);
    assert_eq!(scheduler.report(1, std::slice::from_ref(&late)), []);
    assert_eq!(scheduler.report(1, std::slice::from_ref(&late)), [], "a tick is reported once");
    assert_eq!(scheduler.report(5, &[late]), [], "no such tick was planned");
}

#[test]
fn a_stop_of_the_caller_frees_the_lane() {
    let mut world = World::new(Shape { lanes: 1, ..SHAPE }, NEVER, false);
    let first = world.submit(plain(vec![1; 4], 100)).unwrap();
    (0..5).for_each(|_| assert!(world.tick()));
    let outcome = world.scheduler.end(first, End::Stop);
    assert_eq!(outcome, Some(Outcome::Finished { sequence: first, lane: Some(0), end: End::Stop }));
    world.stories[0].end = Some(End::Cancelled);
    world.submit(plain(vec![2; 4], 3)).unwrap();
    world.finish(4);
    world.check();
}

#[test]
fn no_tick_is_planned_for_what_has_surely_ended() {
    let mut scheduler = Scheduler::new(SHAPE).unwrap();
    scheduler.submit(plain(vec![1; 4], 5)).unwrap();
    let plans: Vec<TickPlan> = std::iter::from_fn(|| scheduler.next_tick()).collect();
    assert_eq!(plans.len(), 5, "one for each token");
    assert!(!scheduler.is_idle());
}

#[test]
fn a_prefix_that_leaves_no_room_to_copy_it_is_read_again() {
    // As many pages as one sequence needs: not two for the page that it would share in part.
    let mut world = World::new(Shape { pages: [2, 6], ..SHAPE }, NEVER, false);
    world.submit(plain(vec![1; 60], 5)).unwrap();
    world.submit(plain(vec![1; 60], 5)).unwrap();
    world.finish(2);
    assert_eq!(world.scheduler.occupancy().prefix_hit_tokens, 0);
    world.check();
}

#[test]
fn a_lane_that_was_not_told_to_have_ended_is_stopped() {
    let mut scheduler = Scheduler::new(SHAPE).unwrap();
    scheduler.submit(plain(vec![1; 4], 1)).unwrap();
    let serial = scheduler.next_tick().unwrap().begins[0].serial;
    let chunk = Report::Chunk { lane: 0, serial, depths: vec![1; 4] };
    let outcomes = scheduler.report(0, &[chunk, Report::Token { lane: 0, serial, token: 7, depth: 1, end: None }]);
    let sequence = SequenceId(0);
    let expected = [
        Outcome::Prefilled { sequence, lane: 0, done: 4, total: 4 },
        Outcome::Token { sequence, lane: 0, index: 0, report: 1 },
        Outcome::Finished { sequence, lane: Some(0), end: End::Length },
    ];
    assert_eq!(outcomes, expected);
    scheduler.submit(plain(vec![2; 4], 1)).unwrap();
    assert_eq!(scheduler.next_tick().unwrap().stops, [0]);
}
