//! Performing a plan: from what the scheduler wants to writes and dispatches.
//!
//! **Invariant:** no tick waits for the one before it; writes of the host take effect before the submission that follows.

use super::lane::OnLane;
use super::{Engine, SequenceId};
use crate::error::GpuError;
use crate::gpu::Pass;
use crate::gpu::readback::Pending;
use crate::kernels::Control;
use crate::runtime::cache::is_of_rounds;
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
}

impl Engine {
    /// Submits the next tick, if there is anything to do.
    pub(super) fn submit_tick(&mut self) -> Result<bool, GpuError> {
        let begun = self.now();
        let Some(plan) = self.scheduler.next_tick() else { return Ok(false) };
        self.write_plan(&plan);
        let (tick, kinds) = self.look_ahead(&plan);
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
        });
        Ok(true)
    }

    /// What the host writes before a tick.
    fn write_plan(&mut self, plan: &TickPlan) {
        for &lane in &plan.stops {
            self.gpu.write(&self.state.lanes.control, u64::from(lane) * 32, &[Control::default()]);
            self.lanes[lane as usize] = None;
        }
        for begin in &plan.begins {
            self.begin(begin);
        }
        let (classes, pages) = (self.plan.classes, self.state.sizes.max_pages);
        for write in &plan.pages {
            let place = (write.lane * classes + write.class) * pages + write.index;
            self.gpu.write(&self.state.lanes.pages, u64::from(place) * 4, &[write.page]);
        }
    }

    /// Puts a sequence on a lane.
    fn begin(&mut self, begin: &Begin) {
        let id = SequenceId(begin.sequence.0);
        let rounds = self.plan.n_rounds();
        let Some(active) = self.active.get_mut(&id) else { return };
        active.serial = Some(begin.serial);
        let request = &active.request;
        let (lanes, sizes, at) = (&self.state.lanes, &self.state.sizes, u64::from(begin.lane));
        let mut seen = vec![0u32; sizes.seen as usize];
        begin.tokens.iter().for_each(|token| seen[*token as usize / 32] |= 1 << (token % 32));
        let mut reach = vec![0u32; sizes.room.context as usize];
        reach.iter_mut().zip(&begin.depths).for_each(|(reach, depth)| *reach = u32::from(*depth));
        self.gpu.write(&lanes.seen, at * u64::from(sizes.seen) * 4, &seen);
        self.gpu.write(&lanes.reach, at * u64::from(sizes.room.context) * 4, &reach);
        self.gpu.write(&lanes.lengths, at * u64::from(self.plan.classes) * 4, &begin.lengths);
        self.gpu.write(&lanes.settings, at * 32, &[request.sampling.settings()]);
        let drawn = request.drawn_depths;
        let control = Control {
            phase: Control::READING,
            serial: begin.serial,
            position: begin.reads,
            remaining: begin.remaining,
            forced: active.forced(rounds),
            ends: u32::from(!request.ignore_end),
            drawn_low: drawn.map_or(0, |shares| at_least(&shares, 2) << 16 | at_least(&shares, 3)),
            drawn_high: drawn
                .map_or(0, |shares| at_least(&shares, 4) << 16 | (request.sampling.seed as u32 & 0x7fff) << 1 | 1),
        };
        self.gpu.write(&lanes.control, at * 32, &[control]);
        let ragged = control.forced > 0 || drawn.is_some();
        let Begin { reads, remaining, .. } = *begin;
        self.lanes[begin.lane as usize] = Some(OnLane { id, reads, remaining, ticks: None, ragged });
    }

    /// What the host knows of the tick, and its chunks by the kind of their depth.
    fn look_ahead<'p>(&mut self, plan: &'p TickPlan) -> (Tick, Vec<(Depth, Vec<&'p Chunk>)>) {
        let rounds = self.plan.n_rounds();
        let mut kinds: Vec<(Depth, Vec<&Chunk>)> = vec![];
        for chunk in &plan.chunks {
            if let Some(lane) = self.lanes[chunk.lane as usize].as_mut().filter(|_| chunk.last) {
                lane.ticks = Some(0);
            }
            let Some(active) = self.active.get(&SequenceId(chunk.sequence.0)) else { continue };
            let depth = active.reading_depth(chunk.start, rounds);
            // Top-k selects among the tokens of one call, so nobody may be beside it.
            match kinds.iter_mut().find(|(kind, _)| *kind == depth && depth != Depth::Together) {
                Some((_, chunks)) => chunks.push(chunk),
                None => kinds.push((depth, vec![chunk])),
            }
        }
        let mut tick = Tick { order: self.order, lanes: plan.decoding, longest: 0, ragged: false };
        for lane in self.lanes.iter_mut().flatten() {
            let Some(ticks) = &mut lane.ticks else { continue };
            *ticks += 1;
            tick.ragged |= lane.ragged;
            tick.longest = tick.longest.max(lane.reads + (*ticks).min(lane.remaining));
        }
        (tick, kinds)
    }

    /// Reads chunks of one kind, and keeps their depths from place `kept` on.
    fn read_chunks(&self, pass: &mut Pass<'_>, depth: Depth, chunks: &[&Chunk], kept: usize) -> Result<(), GpuError> {
        let (mut inputs, mut heads) = (vec![], vec![]);
        for chunk in chunks {
            let input = |(position, &token): (u32, &u32)| Input { lane: chunk.lane, position, token };
            inputs.extend((chunk.start..).zip(&chunk.tokens).map(input));
            if chunk.last {
                heads.push(inputs.len() as u32 - 1);
            }
        }
        let network = self.network();
        network.record(pass, &Step { inputs: &inputs, heads: &heads, depth, sample: true }, None)?;
        if !heads.is_empty() {
            network.finish(pass, &self.state.rows.heads)?;
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

/// The share of 65536 that goes at least so deep.
fn at_least(shares: &[f32; 4], depth: usize) -> u32 {
    let share: f32 = shares[depth - 1..].iter().sum();
    ((share * 65536.0).round() as u32).min(0xffff)
}
