//! Many sequences at once: who waits, who is read, who is written, and ticks that are always submitted ahead.
//!
//! Free lanes take waiting sequences in their order; prompts are read in chunks that ride along with decoding; the GPU
//! ends sequences itself and the host learns of it some ticks later.
//!
//! **Invariant:** no tick waits for the one before it.

use std::ops::ControlFlow;

use super::event::{Event, FinishReason};
use super::lane::Active;
use super::request::Request;
use super::{Engine, SequenceId};
use crate::error::{Error, GpuError, RequestError};
use crate::gpu::readback::Pending;
use crate::kernels::Control;
use crate::kernels::finish::LaneEvent;
use crate::model::forward::{Depth, Input, Step};
use crate::model::tick::{Order, Tick};
use crate::text::stream::TextStream;

/// A tick that was submitted and not yet read.
pub(super) struct InFlight {
    pub(super) pending: Pending,
    /// Sequences whose prompt was read on, with the tokens read by then.
    read: Vec<(usize, u32, u32)>,
}

/// Tokens of one lane's prompt that a tick reads.
struct Chunk {
    lane: usize,
    from: u32,
    to: u32,
}

impl Engine {
    /// Queues a sequence; [`Engine::next`] tells what becomes of it.
    ///
    /// # Errors
    /// A request that cannot be run.
    pub fn submit(&mut self, request: Request) -> Result<SequenceId, RequestError> {
        let depth = self.check(&request)?;
        self.last_id += 1;
        let id = SequenceId(self.last_id);
        let stream = Some(TextStream::new(self.tokenizer.clone(), &request.stop, !request.ignore_end));
        let room = self.context() - request.prompt.len() as u32;
        self.statistics.submitted += 1;
        self.waiting.push_back(Active { id, request, depth, stream, read: 0, ticks: 0, written: 0, room });
        Ok(id)
    }

    /// Ends a sequence wherever it stands; its last event says so. `false` where it has ended already.
    pub fn cancel(&mut self, id: SequenceId) -> bool {
        if let Some(place) = self.waiting.iter().position(|active| active.id == id) {
            let Some(mut active) = self.waiting.remove(place) else { return false };
            self.tell(id, active.finished(FinishReason::Cancelled));
            return true;
        }
        let Some(lane) = self.lanes.iter().position(|lane| lane.as_ref().is_some_and(|active| active.id == id)) else {
            return false;
        };
        self.free(lane, Some(FinishReason::Cancelled));
        true
    }

    /// Whether all sequences have ended and all their events are told.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.lanes.iter().all(Option::is_none) && self.told.is_empty()
    }

    /// The next event of any sequence; `None` when all have ended. Events of one sequence come in order.
    ///
    /// # Errors
    /// What the GPU reports; events told before stand.
    pub async fn next(&mut self) -> Result<Option<(SequenceId, Event)>, Error> {
        while self.told.is_empty() && !self.is_idle() {
            self.turn().await?;
        }
        Ok(self.told.pop_front())
    }

    /// Writes one sequence; `sink` is told of everything and may break it off. Others go on beside it.
    ///
    /// # Errors
    /// A request that cannot be run, or what the GPU reports. Events told before an error stand.
    pub async fn generate(
        &mut self,
        request: &Request,
        sink: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<FinishReason, Error> {
        let id = self.submit(request.clone())?;
        let mut others = vec![];
        let mut cancelled = false;
        loop {
            let Some((whose, event)) = self.next().await? else {
                return Err(GpuError::Internal { why: "a sequence was lost".into() }.into());
            };
            if whose != id {
                others.push((whose, event));
                continue;
            }
            // What was written behind the break is not told.
            let flow = if cancelled && !matches!(event, Event::Finished { .. }) { continue } else { sink(&event) };
            if let Event::Finished { reason, .. } = event {
                self.told.extend(others);
                return Ok(reason);
            }
            if flow.is_break() {
                cancelled = true;
                if self.cancel(id) {
                    continue;
                }
            }
        }
    }

    /// Keeps the GPU busy, then reads the oldest tick.
    async fn turn(&mut self) -> Result<(), Error> {
        while self.in_flight.len() < self.ahead {
            if !self.submit_tick()? {
                break;
            }
        }
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(()) };
        let words: Vec<u32> = self.gpu.finish(oldest.pending).await?;
        self.gpu.collect_profile().await?;
        for (lane, serial, done) in oldest.read {
            if self.serials[lane] == serial
                && let Some(active) = &self.lanes[lane]
            {
                let (id, total) = (active.id, active.request.prompt.len() as u32);
                self.tell(id, Event::Prefill { done, total });
            }
        }
        for drawn in LaneEvent::parse(&words, self.plan.n_rounds()) {
            self.report(&drawn);
        }
        Ok(())
    }

    /// What one lane drew.
    fn report(&mut self, drawn: &LaneEvent) {
        let lane = drawn.lane as usize;
        // A sequence that was cancelled may have drawn on for some ticks.
        if self.serials.get(lane) != Some(&drawn.serial) {
            return;
        }
        let Some(active) = &self.lanes[lane] else { return };
        // While decoding, top-k runs every round.
        let forced = active.request.depth.is_some() || active.depth == Depth::TopK;
        let scored = self.scored(drawn.depth, if forced { Depth::Fixed(0) } else { active.depth });
        let Some(active) = &mut self.lanes[lane] else { return };
        let (id, events) = (active.id, active.token(drawn, scored));
        self.statistics.tokens += 1;
        self.statistics.rounds += u64::from(drawn.depth);
        let ended = matches!(events.last(), Some(Event::Finished { .. }));
        for event in events {
            self.tell(id, event);
        }
        if ended {
            self.free(lane, None);
        }
    }

    fn tell(&mut self, id: SequenceId, event: Event) {
        if matches!(event, Event::Finished { .. }) {
            self.statistics.finished += 1;
        }
        self.told.push_back((id, event));
    }

    /// Takes the sequence off its lane; with a reason where nobody has told of its end.
    fn free(&mut self, lane: usize, reason: Option<FinishReason>) {
        let Some(mut active) = self.lanes[lane].take() else { return };
        // What is still under way for it is recognised by its serial number.
        self.serials[lane] = self.serials[lane].wrapping_add(1);
        self.gpu.write(&self.state.lanes.control, lane as u64 * 32, &[Control::default()]);
        if let Some(reason) = reason {
            let event = active.finished(reason);
            self.tell(active.id, event);
        }
    }

    /// Puts a sequence on a lane.
    fn begin(&mut self, lane: usize, active: Active) {
        let (lanes, sizes, at) = (&self.state.lanes, &self.state.sizes, lane as u64);
        let zero = |buffer, words: u32| {
            self.gpu.write(buffer, at * u64::from(words) * 4, &vec![0u32; words as usize]);
        };
        zero(&lanes.lengths, self.plan.classes);
        zero(&lanes.reach, sizes.room.context);
        zero(&lanes.seen, sizes.seen);
        self.gpu.write(&lanes.settings, at * 32, &[active.request.sampling.settings()]);
        let control = Control {
            phase: Control::READING,
            serial: self.serials[lane],
            position: active.request.prompt.len() as u32,
            remaining: active.most(),
            forced: active.forced(self.plan.n_rounds()),
            ends: u32::from(!active.request.ignore_end),
            drawn_low: active
                .request
                .drawn_depths
                .map_or(0, |shares| at_least(&shares, 2) << 16 | at_least(&shares, 3)),
            drawn_high: active.request.drawn_depths.map_or(0, |shares| {
                at_least(&shares, 4) << 16 | (active.request.sampling.seed as u32 & 0x7fff) << 1 | 1
            }),
        };
        self.gpu.write(&lanes.control, at * 32, &[control]);
        self.lanes[lane] = Some(active);
    }

    /// Fills free lanes.
    fn admit(&mut self) {
        while let Some(lane) = self.lanes.iter().position(Option::is_none) {
            let Some(mut active) = self.waiting.pop_front() else { return };
            if active.most() == 0 {
                let event = active.finished(FinishReason::Length);
                self.tell(active.id, event);
                continue;
            }
            self.begin(lane, active);
        }
    }

    /// Chunks of prompts for one tick: lanes in order, of the first one's kind of depth, within the rows there are.
    fn chunks(&self) -> Vec<Chunk> {
        let mut left = self.state.sizes.room.rows;
        let mut chunks: Vec<Chunk> = vec![];
        let mut kind = None;
        let mut lanes: Vec<usize> = (0..self.lanes.len()).collect();
        lanes.sort_by_key(|&lane| self.lanes[lane].as_ref().map(|active| active.id));
        for lane in lanes {
            let Some(active) = self.lanes[lane].as_ref().filter(|active| active.unread() > 0) else { continue };
            let kind = *kind.get_or_insert(active.depth);
            // Top-k selects among the tokens of one call, so nobody may be beside it.
            let alone = kind == Depth::TopK && !chunks.is_empty();
            if left == 0 || alone || kind != active.depth {
                continue;
            }
            let to = active.read + active.unread().min(left);
            left -= to - active.read;
            chunks.push(Chunk { lane, from: active.read, to });
        }
        chunks
    }

    /// Submits the next tick, if there is anything to do.
    fn submit_tick(&mut self) -> Result<bool, GpuError> {
        self.admit();
        let chunks = self.chunks();
        let mixed = self.order == Order::Mixed;
        // A token takes a tick, or one per round; one more makes it leave.
        let rounds = if mixed { self.plan.n_rounds() } else { 1 };
        let (mut decoding, mut ragged, mut longest) = (0, false, 0);
        for active in self.lanes.iter_mut().flatten() {
            let last =
                chunks.iter().any(|chunk| chunk.to == active.request.prompt.len() as u32 && chunk.from == active.read);
            if (active.unread() == 0 || last) && active.ticks <= active.most() * rounds {
                decoding += 1;
                active.ticks += 1;
                ragged |= active.forced(self.plan.n_rounds()) > 0 || active.request.drawn_depths.is_some();
                longest = longest.max(active.request.prompt.len() as u32 + active.ticks.min(active.most()));
            }
        }
        if chunks.is_empty() && decoding == 0 {
            return Ok(false);
        }
        let mut pass = self.gpu.pass();
        pass.clear(&self.state.lanes.events);
        let network = self.network();
        if let Some(first) = chunks.first() {
            let depth = self.lanes[first.lane].as_ref().map_or(Depth::Model, |active| active.depth);
            let (mut inputs, mut heads) = (vec![], vec![]);
            for chunk in &chunks {
                let Some(active) = &self.lanes[chunk.lane] else { continue };
                let prompt = &active.request.prompt;
                let input =
                    |position: u32| Input { lane: chunk.lane as u32, position, token: prompt[position as usize] };
                inputs.extend((chunk.from..chunk.to).map(input));
                if chunk.to == prompt.len() as u32 {
                    heads.push(inputs.len() as u32 - 1);
                }
            }
            network.record(&mut pass, &Step { inputs: &inputs, heads: &heads, depth, sample: true }, None)?;
            if !heads.is_empty() {
                network.finish(&mut pass, &self.state.rows.heads)?;
            }
        }
        if decoding > 0 {
            network.tick(&mut pass, &Tick { order: self.order, longest, ragged })?;
        }
        self.statistics.dispatches += pass.n_dispatches() as u64;
        self.statistics.ticks += 1;
        let events = &self.state.lanes.events;
        let pending = pass.submit_and_read(&[(events, 0..events.bytes() / 4)]);
        let mut read = vec![];
        for chunk in chunks {
            if let Some(active) = &mut self.lanes[chunk.lane] {
                active.read = chunk.to;
                read.push((chunk.lane, self.serials[chunk.lane], chunk.to));
            }
        }
        self.in_flight.push_back(InFlight { pending, read });
        Ok(true)
    }
}

/// The share of 65536 that goes at least so deep.
fn at_least(shares: &[f32; 4], depth: usize) -> u32 {
    let share: f32 = shares[depth - 1..].iter().sum();
    ((share * 65536.0).round() as u32).min(0xffff)
}
