//! What is known of a sequence that runs, and what its ticks under way may add at most.

use std::collections::VecDeque;

use super::prefix::Key;
use super::queue::Sequence;
use super::shape::{PAGE, Shape, pool_of};
use super::table::Table;

/// A sequence in a lane.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub sequence: Sequence,
    /// See [`Begin::serial`](super::Begin::serial).
    pub serial: u32,
    /// The scheduler's policy when it began: only entries that were all computed under one are shared.
    pub policy: u64,
    /// Greatest depth of its tokens.
    pub limit: u32,
    /// Most entries that it may ever have in a class.
    pub most: u32,
    pub table: Table,
    /// Tokens to read before the first is drawn, or enters.
    pub reads: u32,
    /// The last token was told before, and enters behind what is read, which draws nothing.
    pub enters: bool,
    /// Tokens cached, or read in chunks that were planned.
    pub planned: u32,
    /// Depths of all entries that are known to be in the cache.
    pub depths: Vec<u8>,
    /// Their number in each class.
    pub lengths: Vec<u32>,
    /// Last tick in which it may decode, once its last chunk was planned.
    pub until: Option<u64>,
    /// Ticks that were not reported yet, and the most entries that each may add to a class.
    under_way: VecDeque<(u64, u32)>,
    pub blocks: Blocks,
}

/// How far the tokens of a lane are registered in the prefix cache.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks {
    /// The last node.
    pub node: u64,
    /// Blocks up to and with it.
    pub count: u32,
    /// Entries of each class up to its end.
    pub lengths: Vec<u32>,
}

impl Running {
    pub fn new(sequence: Sequence, serial: u32, policy: u64, shape: &Shape, defers: bool) -> Self {
        let enters = sequence.enters(defers);
        let none = vec![0; shape.classes as usize];
        Self {
            serial,
            policy,
            limit: shape.limit(sequence.submission.depth),
            // The last token that is drawn is never run.
            most: sequence.longest(shape.context) - 1,
            table: Table::new(shape.classes),
            reads: sequence.reads(defers),
            enters,
            planned: 0,
            depths: Vec::new(),
            lengths: none.clone(),
            until: None,
            under_way: VecDeque::new(),
            blocks: Blocks { lengths: none, ..Blocks::default() },
            sequence,
        }
    }

    /// Where its blocks stand in the prefix cache.
    pub fn key(&self) -> Key {
        Key { policy: self.policy, request: self.sequence.submission.key }
    }

    /// Tokens that stand behind those it reads in the end.
    pub fn remaining(&self) -> u32 {
        self.most + 1 - self.reads
    }

    /// Tokens of its next chunk, where so many fit.
    pub fn next_chunk(&self, budget: u32) -> u32 {
        let left = self.reads - self.planned;
        // Rows that are judged together must stay together. Tokens written before a preemption, or by another engine, were
        // not among them: each is read alone, as it was when it was drawn.
        match (self.sequence.submission.together, self.planned) {
            (0, _) => left.min(budget),
            (together, 0) if together > budget => 0,
            (together, 0) => together,
            _ => left.min(budget).min(1),
        }
    }

    /// A tick was planned that adds at most so many entries to a class.
    pub fn plan(&mut self, tick: u64, entries: u32) {
        self.under_way.push_back((tick, entries));
    }

    /// All ticks up to this one were reported.
    pub fn settle(&mut self, tick: u64) {
        while self.under_way.front().is_some_and(|&(planned, _)| planned <= tick) {
            self.under_way.pop_front();
        }
    }

    /// The most entries of a class, when everything under way and so many more are added.
    pub fn bound(&self, shape: &Shape, class: u32, more: u32) -> u32 {
        if !shape.uses(class, self.limit) {
            return 0;
        }
        let under_way: u32 = self.under_way.iter().map(|&(_, entries)| entries).sum();
        // Rows that entered in a tick are told of by their draws, in a later one: they may stand between two reports.
        let pending = u32::from(self.until.is_some()) * shape.span;
        let room = self.most.saturating_sub(self.depths.len() as u32);
        self.lengths[class as usize] + (under_way + pending + more).min(room)
    }

    /// Pages of both pools that are missing for so many more entries.
    pub fn lacks(&self, shape: &Shape, more: u32) -> [u32; 2] {
        let mut pages = [0; 2];
        for class in 0..shape.classes {
            pages[pool_of(class)] += self.table.lacks(class, self.bound(shape, class, more));
        }
        pages
    }

    /// Pages that it will want soon: for all that it is to read, or for the next page of each class.
    pub fn outlook(&self, shape: &Shape) -> [u32; 2] {
        self.lacks(shape, if self.until.is_none() { self.reads - self.planned + shape.span } else { PAGE })
    }

    /// An entry of the given depth is in the cache.
    pub fn add(&mut self, shape: &Shape, depth: u8) {
        self.depths.push(depth);
        for (class, length) in (0..).zip(&mut self.lengths) {
            *length += shape.adds(class, depth, self.limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::request::{SequenceId, Submission};

    const SHAPE: Shape = Shape {
        lanes: 1,
        context: 100,
        chunk: 16,
        classes: 3,
        rounds: 2,
        ticks_per_token: 1,
        span: 1,
        compact: true,
        pages: [8, 16],
        prefix_cache: true,
    };

    fn running(prompt: usize, max_tokens: u32, together: u32) -> Running {
        let submission = Submission {
            id: SequenceId(0),
            prompt: vec![7; prompt],
            max_tokens,
            depth: None,
            priority: 0,
            key: 0,
            together,
            shared: u32::MAX,
        };
        Running::new(Sequence::new(submission, 0), 0, 0, &SHAPE, false)
    }

    #[test]
    fn what_is_under_way_counts_until_it_is_known() {
        let mut lane = running(10, 50, 0);
        lane.plan(0, 10);
        lane.plan(1, 1);
        assert_eq!(lane.bound(&SHAPE, 2, 1), 12);
        lane.settle(0);
        (0..10).for_each(|i| lane.add(&SHAPE, 1 + i % 2));
        assert_eq!([0, 1, 2].map(|class| lane.bound(&SHAPE, class, 1)), [12, 12, 7]);
    }

    #[test]
    fn a_span_counts_with_all_its_rows() {
        let shape = Shape { span: 3, ..SHAPE };
        let mut lane = running(10, 50, 0);
        lane.plan(0, 10 + 3);
        lane.until = Some(49);
        assert_eq!(lane.bound(&shape, 0, 3), 10 + 3 + 3 + 3);
        assert_eq!(lane.bound(&shape, 0, 60), 59, "no row behind the last token");
    }

    #[test]
    fn nothing_is_asked_for_beyond_the_last_token() {
        let mut lane = running(60, 5, 0);
        assert_eq!(lane.remaining(), 5);
        lane.plan(0, 60);
        assert_eq!(lane.bound(&SHAPE, 0, 100), 64);
        assert_eq!(lane.lacks(&SHAPE, 100), [2, 4]);
        assert_eq!(running(90, 50, 0).remaining(), 10);
    }

    #[test]
    fn what_is_judged_together_is_not_cut() {
        let mut lane = running(10, 5, 10);
        assert_eq!([lane.next_chunk(9), lane.next_chunk(16)], [0, 10]);
        (lane.reads, lane.planned) = (13, 10);
        assert_eq!([lane.next_chunk(0), lane.next_chunk(16)], [0, 1]);
        assert_eq!([running(20, 5, 0).next_chunk(9), running(20, 5, 0).next_chunk(30)], [9, 20]);
        // Written elsewhere: behind what is judged together, and of any length.
        let mut lane = running(40, 5, 10);
        assert_eq!([lane.next_chunk(9), lane.next_chunk(16)], [0, 10]);
        lane.planned = 10;
        assert_eq!(lane.next_chunk(16), 1);
    }
}
