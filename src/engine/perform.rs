//! Performing a plan: from what the scheduler wants to writes and dispatches.
//!
//! **Invariant:** no tick waits for the one before it; writes of the host take effect before the submission that follows.

use super::Engine;
use super::estimate::Asked;
use super::lane::OnLane;
use crate::error::GpuError;
use crate::gpu::Pass;
use crate::gpu::readback::Pending;
use crate::runtime::cache::is_of_rounds;
use crate::runtime::lane::{Assignment, LaneDepth};
use crate::runtime::step::{Depth, Input, Step};
use crate::runtime::tick::Tick;
use crate::schedule::{Begin, Chunk, PageCopy, TickPlan};

/// A tick that was submitted and not yet read.
pub(super) struct InFlight {
    pub pending: Pending,
    /// When, by the clock.
    pub submitted: u64,
    /// The scheduler's number of it.
    pub number: u64,
    /// What was read: lane, serial number, tokens; in the order of their depths.
    pub read: Vec<(u32, u32, usize)>,
    /// Lanes were moved on, beside reading.
    pub decodes: bool,
    /// What was to be checked.
    pub asked: Asked,
}

impl Engine {
    /// Submits the next tick, if there is anything to do.
    pub(super) fn submit_tick(&mut self) -> Result<bool, GpuError> {
        let begun = self.now();
        let asked =
            self.guessing.choose(self.lanes.iter().flatten().filter(|lane| lane.entries.is_some()).count() as u32);
        let guesses = asked.guesses;
        self.scheduler.set_span(1 + guesses);
        let Some(plan) = self.scheduler.next_tick() else { return Ok(false) };
        self.write_plan(&plan)?;
        let (tick, kinds) = self.look_ahead(&plan, guesses);
        let events = &self.state.lanes.events;
        let mut pass = self.gpu.pass();
        pass.clear(events);
        self.copy_pages(&mut pass, &plan.copies);
        let mut read = vec![];
        for (which, (depth, chunks)) in kinds.iter().enumerate() {
            if which > 0 {
                // The inputs of a step are written at once, so a submission has room for one.
                self.statistics.dispatches += pass.n_dispatches() as u64;
                self.statistics.submissions += 1;
                pass.submit();
                pass = self.gpu.pass();
            }
            self.read_chunks(&mut pass, *depth, chunks, read.iter().map(|(_, _, tokens)| tokens).sum())?;
            read.extend(chunks.iter().map(|chunk| (chunk.lane, chunk.serial, chunk.tokens.len())));
        }
        if plan.decoding > 0 {
            self.network().tick(&mut pass, &tick)?;
            self.guesses_before = guesses;
        }
        self.statistics.dispatches += pass.n_dispatches() as u64;
        self.statistics.submissions += 1;
        self.statistics.ticks += 1;
        let tokens: usize = read.iter().map(|(_, _, tokens)| tokens).sum();
        let parts = [(events, 0..events.bytes() / 4), (&self.state.read_depths, 0..2 * tokens as u64)];
        let recorded = self.now();
        let pending = pass.submit_and_read(&parts[..if tokens > 0 { 2 } else { 1 }]);
        self.statistics.host.recording += recorded - begun;
        self.statistics.host.submitting += self.now() - recorded;
        self.in_flight.push_back(InFlight {
            pending,
            submitted: recorded,
            number: plan.number,
            read,
            decodes: plan.decoding > 0,
            asked,
        });
        Ok(true)
    }

    /// What the host writes before a tick.
    fn write_plan(&mut self, plan: &TickPlan) -> Result<(), GpuError> {
        for &lane in &plan.stops {
            self.state.stop(&self.gpu, lane);
            self.lanes[lane as usize] = None;
        }
        for begin in &plan.begins {
            self.begin(begin)?;
        }
        let (classes, pages) = (self.plan.classes, self.state.sizes.max_pages);
        for write in &plan.pages {
            let place = (write.lane * classes + write.class) * pages + write.index;
            self.gpu.write(&self.state.lanes.pages, u64::from(place) * 4, &[write.page]);
        }
        Ok(())
    }

    /// Puts a sequence on a lane.
    fn begin(&mut self, begin: &Begin) -> Result<(), GpuError> {
        let Some(active) = self.active.get(&begin.sequence) else { return Ok(()) };
        let depth = self.deferring.lane_depth(active.lane_depth(self.plan.n_rounds()));
        let assignment = Assignment {
            serial: begin.serial,
            cached: &begin.tokens,
            depths: &begin.depths,
            lengths: &begin.lengths,
            reads: begin.reads,
            prompt: active.request.prompt.len() as u32,
            remaining: begin.remaining,
            depth,
            ends: !active.request.ignore_end,
            settings: active.request.sampling.settings(),
        };
        self.state.assign(&self.gpu, begin.lane, &assignment)?;
        let Begin { sequence: id, reads, remaining, enters, .. } = *begin;
        let ragged = depth != LaneDepth::Gate;
        self.lanes[begin.lane as usize] =
            Some(OnLane { id, serial: begin.serial, reads, remaining, enters, entries: None, ragged });
        self.ask_lane(begin.lane, id);
        Ok(())
    }

    /// What the host knows of the tick, and its chunks by the kind of their depth.
    fn look_ahead<'p>(&mut self, plan: &'p TickPlan, guesses: u32) -> (Tick, Vec<(Depth, Vec<&'p Chunk>)>) {
        let rounds = self.plan.n_rounds();
        let mut kinds: Vec<(Depth, Vec<&Chunk>)> = vec![];
        for chunk in &plan.chunks {
            if let Some(lane) = self.lanes[chunk.lane as usize].as_mut().filter(|_| chunk.last) {
                lane.entries = Some(0);
            }
            let Some(active) = self.active.get(&chunk.sequence) else { continue };
            let depth = active.reading_depth(chunk.start, rounds);
            // Top-k selects among the tokens of one call, so nobody may be beside it.
            match kinds.iter_mut().find(|(kind, _)| *kind == depth && depth != Depth::Together) {
                Some((_, chunks)) => chunks.push(chunk),
                None => kinds.push((depth, vec![chunk])),
            }
        }
        let (lanes, guesses_before) = (plan.decoding, self.guesses_before);
        let mut tick = Tick { order: self.order, lanes, longest: 0, ragged: false, guesses, guesses_before };
        for lane in self.lanes.iter_mut().flatten() {
            let Some(entries) = &mut lane.entries else { continue };
            *entries += 1 + guesses;
            tick.ragged |= lane.ragged;
            tick.longest = tick.longest.max(lane.reads + (*entries).min(lane.remaining));
        }
        (tick, kinds)
    }

    /// Reads chunks of one kind, and keeps their depths from place `kept` on.
    fn read_chunks(&self, pass: &mut Pass<'_>, depth: Depth, chunks: &[&Chunk], kept: usize) -> Result<(), GpuError> {
        let (mut inputs, mut heads) = (vec![], vec![]);
        for chunk in chunks {
            let prompt = self.active.get(&chunk.sequence).map_or(u32::MAX, |active| active.request.prompt.len() as u32);
            let input = |(position, &token): (u32, &u32)| Input {
                lane: chunk.lane,
                position,
                token,
                written: position >= prompt,
            };
            inputs.extend((chunk.start..).zip(&chunk.tokens).map(input));
            let enters = self.lanes[chunk.lane as usize].and_then(|lane| lane.enters);
            match enters {
                Some(token) if chunk.last => {
                    self.state.enter(&self.gpu, chunk.lane, chunk.start + chunk.tokens.len() as u32, token);
                }
                None if chunk.last => heads.push(inputs.len() as u32 - 1),
                _ => {}
            }
        }
        let network = self.network();
        network.record(pass, &Step { inputs: &inputs, heads: &heads, depth, sample: true }, None)?;
        if !heads.is_empty() {
            network.finish(pass, (&self.state.rows.heads, heads.len() as u32))?;
        }
        let bytes = inputs.len() as u64 * 8;
        pass.copy((&self.state.rows.granted, 0), (&self.state.read_depths, kept as u64 * 8), bytes);
        Ok(())
    }

    /// Copies pages that two sequences go on from differently.
    fn copy_pages(&self, pass: &mut Pass<'_>, copies: &[PageCopy]) {
        for copy in copies {
            for (buffer, cache) in self.state.caches.iter().enumerate() {
                if u32::from(is_of_rounds(&self.plan, buffer)) != copy.pool {
                    continue;
                }
                let bytes = cache.page_bytes(&self.config);
                for binding in &cache.bindings {
                    // No buffer may be source and target of one copy.
                    pass.copy((binding, u64::from(copy.from) * bytes), (&self.state.page_in_transit, 0), bytes);
                    pass.copy((&self.state.page_in_transit, 0), (binding, u64::from(copy.to) * bytes), bytes);
                }
            }
        }
    }
}
