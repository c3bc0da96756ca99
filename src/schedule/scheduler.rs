//! The state of all sequences: taking them in, ending them, counting them.

use super::lane::Running;
use super::pool::Pool;
use super::prefix::Prefixes;
use super::queue::{Queue, Sequence};
use super::report::Outcome;
use super::request::{End, Refusal, SequenceId, Submission};
use super::shape::Shape;

/// Decides what each tick computes. See the [module](super).
#[derive(Debug, Clone)]
pub struct Scheduler {
    pub(super) shape: Shape,
    pub(super) pools: [Pool; 2],
    pub(super) prefixes: Prefixes,
    pub(super) queue: Queue,
    pub(super) lanes: Vec<Option<Running>>,
    /// Lanes to be switched off by the next tick.
    pub(super) stops: Vec<u32>,
    /// Pool and page of what the last tick copies: nothing may be written there before the tick after it.
    pub(super) sources: Vec<(usize, u32)>,
    /// Number of the next tick.
    pub(super) number: u64,
    /// Number of the first tick that was not reported.
    pub(super) unreported: u64,
    pub(super) serial: u32,
    /// Rows of a decoding lane in the next ticks, at most those of the shape.
    pub(super) span: u32,
    /// How often the rule was changed by which depth is decided.
    pub(super) policy: u64,
    /// Decoding lanes may put layers off.
    pub(super) defers: bool,
    ordinal: u64,
    pub(super) counts: Counts,
}

/// What only grows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub preemptions: u64,
    pub prefix_hit_tokens: u64,
    pub read_tokens: u64,
    pub copied_pages: u64,
}

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Sequences without a lane.
    pub waiting: u32,
    /// Sequences in lanes.
    pub running: u32,
    /// Those of them that have not been given their whole prompt to read.
    pub reading: u32,
    /// Ticks that were planned and not reported.
    pub ticks_under_way: u64,
    /// Pages that lanes refer to, in both pools.
    pub pages_used: [u32; 2],
    /// Pages that only the prefix cache refers to. The next that lack a page take them.
    pub pages_cached: [u32; 2],
    /// Pages that nothing refers to.
    pub pages_free: [u32; 2],
    /// Sequences that had to leave their lane, so far.
    pub preemptions: u64,
    /// Tokens that were not read because the prefix cache had them, so far.
    pub prefix_hit_tokens: u64,
    /// Tokens that were read in chunks, so far.
    pub read_tokens: u64,
    /// Pages that were copied because two sequences go on differently within them, so far.
    pub copied_pages: u64,
}

impl Scheduler {
    /// A scheduler without sequences.
    ///
    /// # Errors
    /// [`Refusal::Shape`] for sizes that contradict one another.
    pub fn new(shape: Shape) -> Result<Self, Refusal> {
        shape.check()?;
        Ok(Self {
            shape,
            pools: shape.pages.map(Pool::new),
            prefixes: Prefixes::default(),
            queue: Queue::default(),
            lanes: (0..shape.lanes).map(|_| None).collect(),
            stops: Vec::new(),
            sources: Vec::new(),
            number: 0,
            unreported: 0,
            serial: 0,
            span: shape.span,
            policy: 0,
            defers: false,
            ordinal: 0,
            counts: Counts::default(),
        })
    }

    /// Takes a sequence in. It will end with exactly one [`End`].
    ///
    /// # Errors
    /// A [`Refusal`] where it could not run even alone, or its name is in use.
    pub fn submit(&mut self, mut submission: Submission) -> Result<(), Refusal> {
        let Shape { context, chunk, pages, .. } = self.shape;
        let tokens = u32::try_from(submission.prompt.len()).unwrap_or(u32::MAX);
        if self.queue.contains(submission.id) || self.lane_of(submission.id).is_some() {
            return Err(Refusal::NameInUse(submission.id));
        }
        if tokens == 0 {
            return Err(Refusal::EmptyPrompt);
        }
        if submission.max_tokens == 0 {
            return Err(Refusal::NothingToWrite);
        }
        if tokens >= context {
            return Err(Refusal::PromptTooLong { tokens, most: context - 1 });
        }
        submission.together = submission.together.min(tokens);
        if submission.together > chunk {
            return Err(Refusal::PromptExceedsChunk { tokens: submission.together, most: chunk });
        }
        let sequence = Sequence::new(submission, self.ordinal);
        let limit = self.shape.limit(sequence.submission.depth);
        // The last token that is drawn is never run, and leaves no entry.
        let needed = self.shape.pages_for(sequence.longest(context) - 1, limit);
        if needed[0] > pages[0] || needed[1] > pages[1] {
            return Err(Refusal::CacheTooSmall { needed, pages });
        }
        self.ordinal += 1;
        self.queue.push(sequence);
        Ok(())
    }

    /// Ends a sequence because its caller wants no more, wherever it stands: [`Self::end`] with [`End::Cancelled`].
    pub fn cancel(&mut self, id: SequenceId) -> Option<Outcome> {
        self.end(id, End::Cancelled)
    }

    /// Ends a sequence now, for instance because the caller found a stop text. What it held is free at once, and
    /// nothing more is told of it. The outcome is returned here and not by [`Self::report`]; none, where the sequence
    /// has ended already or never was.
    pub fn end(&mut self, id: SequenceId, end: End) -> Option<Outcome> {
        let lane = match self.queue.remove(id) {
            Some(_) => None,
            None => Some(self.lane_of(id)?),
        };
        if let Some(lane) = lane {
            self.leave(lane);
            self.stops.push(lane);
        }
        Some(Outcome::Finished { sequence: id, lane, end })
    }

    /// Empties the prefix cache. Pages that lanes use stay with them.
    pub fn forget_prefixes(&mut self) {
        while self.prefixes.evict(0, &mut self.pools) {}
    }

    /// From the next tick on depth is decided by another rule: nothing that was computed so far, wholly or in part, is shared
    /// with later prompts.
    pub fn policy_changed(&mut self) {
        self.policy += 1;
        self.forget_prefixes();
    }

    /// From the next tick on a decoding lane has so many rows, its next token and guesses behind it; at most those of the shape.
    pub fn set_span(&mut self, rows: u32) {
        self.span = rows.clamp(1, self.shape.span);
    }

    /// From now on lanes may put layers off while they decode, or no longer: a preempted sequence's last token is then not read
    /// again but enters, as it did before. For an idle scheduler.
    pub fn set_deferring(&mut self, defers: bool) {
        self.defers = defers;
    }

    /// Whether prompts that begin alike share what was computed.
    pub fn keeps_prefixes(&self) -> bool {
        self.shape.prefix_cache
    }

    /// Whether no sequence waits or runs. The GPU may still be at work on ticks whose reports tell nothing new.
    pub fn is_idle(&self) -> bool {
        self.queue.len() == 0 && self.lanes.iter().all(Option::is_none)
    }

    /// How things stand.
    pub fn occupancy(&self) -> Occupancy {
        let running = || self.lanes.iter().flatten();
        let Counts { preemptions, prefix_hit_tokens, read_tokens, copied_pages } = self.counts;
        Occupancy {
            waiting: self.queue.len() as u32,
            running: running().count() as u32,
            reading: running().filter(|lane| lane.until.is_none()).count() as u32,
            ticks_under_way: self.number - self.unreported,
            pages_used: [self.pools[0].used(), self.pools[1].used()],
            pages_cached: [self.pools[0].spare(), self.pools[1].spare()],
            pages_free: [self.pools[0].free(), self.pools[1].free()],
            preemptions,
            prefix_hit_tokens,
            read_tokens,
            copied_pages,
        }
    }

    fn lane_of(&self, id: SequenceId) -> Option<u32> {
        let is = |lane: &Option<Running>| lane.as_ref().is_some_and(|lane| lane.sequence.submission.id == id);
        self.lanes.iter().position(is).map(|lane| lane as u32)
    }

    /// Takes a sequence out of its lane and gives its pages back.
    pub(super) fn leave(&mut self, lane: u32) -> Option<Sequence> {
        let running = self.lanes[lane as usize].take()?;
        running.table.release(&mut self.pools);
        Some(running.sequence)
    }
}
