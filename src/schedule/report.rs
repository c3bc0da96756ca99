//! What the GPU told of a tick, and what follows from it.

use super::lane::Running;
use super::next::touched;
use super::pool::Pool;
use super::prefix::{Block, Prefixes, ROOT};
use super::request::{End, SequenceId};
use super::scheduler::Scheduler;
use super::shape::{PAGE, Shape};

/// What the GPU tells of a lane in a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A chunk was read.
    Chunk {
        /// The lane.
        lane: u32,
        /// [`Chunk::serial`](super::Chunk::serial).
        serial: u32,
        /// Depth of each of its tokens.
        depths: Vec<u8>,
    },
    /// A token was drawn.
    Token {
        /// The lane.
        lane: u32,
        /// [`Begin::serial`](super::Begin::serial).
        serial: u32,
        /// The token.
        token: u32,
        /// Rounds run by the row that predicted it, which is that of the token before. Its entries are in the cache.
        depth: u8,
        /// The lane has stopped, and why. [`End::Length`] also where the context is full: the scheduler tells which.
        end: Option<End>,
    },
}

/// What a caller wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A token was written. Each is told once, in order, whatever was preempted and computed again.
    Token {
        /// The sequence.
        sequence: SequenceId,
        /// Its lane.
        lane: u32,
        /// Its place among the written tokens.
        index: u32,
        /// Place of the [`Report::Token`] that says all else of it.
        report: usize,
    },
    /// More of the prompt was read. What is read again after a preemption is not told again.
    Prefilled {
        /// The sequence.
        sequence: SequenceId,
        /// Its lane.
        lane: u32,
        /// Tokens read or found in the prefix cache.
        done: u32,
        /// Tokens of the prompt.
        total: u32,
    },
    /// The sequence has ended.
    Finished {
        /// The sequence.
        sequence: SequenceId,
        /// Its lane; none where it waited for one.
        lane: Option<u32>,
        /// Why.
        end: End,
    },
}

impl Scheduler {
    /// Takes in what became of a tick. Ticks are reported in order: one that is reported without those before it says
    /// that nothing came of them, and one that was reported or never planned is ignored. Within a tick the chunk of a
    /// lane is told before the tokens that followed it, and these in their order. What is told of a lane whose sequence
    /// has left meanwhile, or behind the token that ended it, is recognised by its serial, and dropped.
    pub fn report(&mut self, tick: u64, reports: &[Report]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if tick < self.unreported || tick >= self.number {
            return outcomes;
        }
        self.unreported = tick + 1;
        self.lanes.iter_mut().flatten().for_each(|running| running.settle(tick));
        for (place, report) in reports.iter().enumerate() {
            let (Report::Chunk { lane, serial, .. } | Report::Token { lane, serial, .. }) = report;
            let Self { shape, prefixes, pools, lanes, policy, .. } = self;
            let running = lanes.get_mut(*lane as usize).and_then(Option::as_mut);
            let Some(running) = running.filter(|running| running.serial == *serial) else { continue };
            let mut end = None;
            match report {
                Report::Chunk { depths, .. } => outcomes.extend(running.chunk(shape, *lane, depths)),
                Report::Token { token, depth, end: drawn, .. } => {
                    let (sequence, index) = (running.sequence.submission.id, running.sequence.written());
                    running.token(shape, *token, *depth);
                    outcomes.push(Outcome::Token { sequence, lane: *lane, index, report: place });
                    end = running.end(shape, *drawn);
                }
            }
            let shares = shape.prefix_cache && running.policy == *policy;
            if shares && running.sequence.submission.together == 0 {
                running.register(shape, prefixes, pools);
            }
            if let Some(end) = end {
                let sequence = running.sequence.submission.id;
                outcomes.push(Outcome::Finished { sequence, lane: Some(*lane), end });
                if report.leaves_lane_going() {
                    self.stops.push(*lane);
                }
                self.leave(*lane);
            }
        }
        outcomes
    }
}

impl Report {
    fn leaves_lane_going(&self) -> bool {
        !matches!(self, Self::Token { end: Some(_), .. })
    }
}

impl Running {
    /// A chunk was read.
    fn chunk(&mut self, shape: &Shape, lane: u32, depths: &[u8]) -> Option<Outcome> {
        depths.iter().for_each(|&depth| self.add(shape, depth));
        let total = self.sequence.submission.prompt.len() as u32;
        let done = total.min(self.depths.len() as u32);
        let more = done > self.sequence.reported;
        self.sequence.reported = self.sequence.reported.max(done);
        more.then_some(Outcome::Prefilled { sequence: self.sequence.submission.id, lane, done, total })
    }

    /// A token was drawn.
    fn token(&mut self, shape: &Shape, token: u32, depth: u8) {
        // The row of the last token that was read came with its chunk.
        if self.depths.len() < self.sequence.tokens.len() {
            self.add(shape, depth);
        }
        self.sequence.tokens.push(token);
    }

    /// Why the sequence ends behind its last token, if it does.
    fn end(&self, shape: &Shape, drawn: Option<End>) -> Option<End> {
        let full = self.sequence.tokens.len() as u32 > self.most;
        match drawn {
            None if !full => None,
            None | Some(End::Length) if self.sequence.written() >= self.sequence.submission.max_tokens => {
                Some(End::Length)
            }
            None | Some(End::Length) if self.sequence.tokens.len() as u32 >= shape.context => Some(End::ContextFull),
            drawn => drawn,
        }
    }

    /// Registers the blocks that are full and known.
    fn register(&mut self, shape: &Shape, prefixes: &mut Prefixes, pools: &mut [Pool; 2]) {
        if self.depths.len() < (self.blocks.count as usize + 1) * PAGE as usize {
            return;
        }
        if !prefixes.contains(self.blocks.node) {
            // An ancestor was given up: from the beginning, or nobody would find what is registered below it.
            (self.blocks.node, self.blocks.count) = (ROOT, 0);
            self.blocks.lengths.fill(0);
        }
        let key = self.key();
        let shared = self.depths.len().min(self.sequence.submission.shared as usize);
        let known = self.depths[..shared].chunks_exact(PAGE as usize);
        let blocks = self.sequence.tokens.chunks_exact(PAGE as usize).zip(known);
        for (tokens, depths) in blocks.skip(self.blocks.count as usize) {
            let mut block = Block { pages: Vec::new(), lengths: Vec::new(), depths: depths.to_vec() };
            for (class, &start) in (0..).zip(&self.blocks.lengths) {
                let end = start + depths.iter().map(|&depth| shape.adds(class, depth, self.limit)).sum::<u32>();
                let pages =
                    touched(start, end).filter_map(|index| Some((class, index, self.table.page(class, index)?)));
                block.pages.extend(pages);
                block.lengths.push(end);
            }
            self.blocks.lengths.clone_from(&block.lengths);
            self.blocks.count += 1;
            self.blocks.node = match prefixes.find(self.blocks.node, key, tokens) {
                Some(node) => node,
                None => prefixes.insert(self.blocks.node, key, tokens, block, pools),
            };
        }
    }
}
