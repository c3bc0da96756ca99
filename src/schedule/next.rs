//! The next tick: every decoding lane, then as much reading as fits, then new sequences.

use super::plan::{Chunk, TableWrite, TickPlan};
use super::scheduler::Scheduler;
use super::shape::{PAGE, pool_of};

/// Whose pages may be taken for a sequence that lacks some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Those that only the prefix cache keeps.
    Cached,
    /// Those of younger sequences as well.
    Younger,
}

impl Scheduler {
    /// What the GPU is to do next. None where there is nothing to do before a report or a submission; the tick is not
    /// counted then, and what is to be switched off waits for the next one.
    pub fn next_tick(&mut self) -> Option<TickPlan> {
        for (pool, page) in std::mem::take(&mut self.sources) {
            self.pools[pool].release(page);
        }
        let mut plan = TickPlan { number: self.number, stops: std::mem::take(&mut self.stops), ..TickPlan::default() };
        let mut budget = self.reading_budget();
        // From old to young: who is preempted on the way has no part in this plan yet.
        for lane in self.by_age() {
            self.advance(lane, &mut budget, Claim::Younger, &mut plan);
        }
        self.admit(&mut budget, &mut plan);
        if plan.begins.is_empty() && plan.chunks.is_empty() && plan.decoding == 0 {
            self.stops = plan.stops;
            return None;
        }
        self.number += 1;
        Some(plan)
    }

    /// Tokens of prompts for the next tick: guesses that are checked take their share, but never all of it.
    fn reading_budget(&self) -> u32 {
        let decoding =
            self.lanes.iter().flatten().filter(|running| running.until.is_some_and(|until| self.number <= until));
        let guesses = decoding.count() as u32 * (self.span - 1);
        let all = self.shape.chunk;
        // What is judged together fits into a whole chunk alone.
        let together = self.lanes.iter().flatten().any(|running| running.sequence.submission.together > 0);
        if together || self.queue.any_together() { all } else { all.saturating_sub(guesses).max(all.div_ceil(4)) }
    }

    /// Lanes with a sequence, the oldest first.
    fn by_age(&self) -> Vec<u32> {
        let running = (0..).zip(&self.lanes).filter_map(|(lane, running)| Some((running.as_ref()?, lane)));
        let mut lanes: Vec<(u64, u32)> = running.map(|(running, lane)| (running.sequence.ordinal, lane)).collect();
        lanes.sort_unstable();
        lanes.into_iter().map(|(_, lane)| lane).collect()
    }

    /// Lets a lane decode or read its next chunk, with the pages for it.
    pub(super) fn advance(&mut self, lane: u32, budget: &mut u32, claim: Claim, plan: &mut TickPlan) {
        let Some(running) = &self.lanes[lane as usize] else { return };
        match running.until {
            Some(until) if self.number > until => {}
            Some(_) => {
                if self.grow(lane, self.span, claim, plan) {
                    plan.decoding += 1;
                } else {
                    // The GPU cannot skip a lane that decodes.
                    self.preempt(lane, plan);
                }
            }
            None => self.read(lane, budget, claim, plan),
        }
    }

    /// Plans the next chunk of a lane. Where its pages are missing the lane waits: older ones will end.
    fn read(&mut self, lane: u32, budget: &mut u32, claim: Claim, plan: &mut TickPlan) {
        let Some(running) = &self.lanes[lane as usize] else { return };
        let count = running.next_chunk(*budget);
        if count == 0 {
            return;
        }
        let last = running.planned + count == running.reads;
        let decodes = last && running.remaining() > 1;
        if !self.grow(lane, count + u32::from(decodes) * self.span, claim, plan) {
            return;
        }
        let Some(running) = &mut self.lanes[lane as usize] else { return };
        let (start, end) = (running.planned, running.planned + count);
        let tokens = running.sequence.tokens[start as usize..end as usize].to_vec();
        let sequence = running.sequence.submission.id;
        plan.chunks.push(Chunk { lane, sequence, serial: running.serial, start, tokens, last });
        plan.decoding += u32::from(decodes);
        running.planned = end;
        if last {
            running.until =
                Some(self.number + u64::from(running.remaining() - 1) * u64::from(self.shape.ticks_per_token));
        }
        *budget -= count;
        self.counts.read_tokens += u64::from(count);
    }

    /// Gives a lane the pages for so many more entries, and counts those as under way; or does nothing.
    fn grow(&mut self, lane: u32, more: u32, claim: Claim, plan: &mut TickPlan) -> bool {
        let Some(running) = &self.lanes[lane as usize] else { return false };
        let (needed, ordinal) = (running.lacks(&self.shape, more), running.sequence.ordinal);
        if !self.make_room(needed, ordinal, claim, plan) {
            return false;
        }
        let Some(running) = &mut self.lanes[lane as usize] else { return false };
        for class in 0..self.shape.classes {
            let entries = running.bound(&self.shape, class, more);
            for _ in 0..running.table.lacks(class, entries) {
                let Some(page) = self.pools[pool_of(class)].take() else { return false };
                let index = running.table.push(class, page);
                plan.pages.push(TableWrite { lane, class, index, page });
            }
        }
        running.plan(self.number, more);
        true
    }

    /// Sees to it that so many pages are free: first from the prefix cache, then from those younger than `ordinal`.
    fn make_room(&mut self, needed: [u32; 2], ordinal: u64, claim: Claim, plan: &mut TickPlan) -> bool {
        loop {
            self.evict(needed);
            if (0..2).all(|pool| self.pools[pool].free() >= needed[pool]) {
                return true;
            }
            let youngest = self.by_age().pop().filter(|_| claim == Claim::Younger);
            let age = |lane: u32| self.lanes[lane as usize].as_ref().map(|running| running.sequence.ordinal);
            match youngest {
                Some(lane) if age(lane) > Some(ordinal) => self.preempt(lane, plan),
                _ => return false,
            }
        }
    }

    /// Drops what only the prefix cache keeps, as far as it takes to have so many free pages.
    pub(super) fn evict(&mut self, needed: [u32; 2]) {
        for (pool, needed) in needed.into_iter().enumerate() {
            while self.pools[pool].free() < needed && self.pools[pool].spare() > 0 {
                if !self.prefixes.evict(pool, &mut self.pools) {
                    break;
                }
            }
        }
    }

    /// Sends a sequence back to the queue. What the GPU wrote of it and did not report yet will be written again.
    fn preempt(&mut self, lane: u32, plan: &mut TickPlan) {
        if let Some(sequence) = self.leave(lane) {
            plan.stops.push(lane);
            self.queue.push(sequence);
            self.counts.preemptions += 1;
        }
    }
}

/// Pages that the entries from `start` to `end` touch.
pub(super) fn touched(start: u32, end: u32) -> std::ops::Range<u32> {
    if start == end { 0..0 } else { start / PAGE..end.div_ceil(PAGE) }
}
