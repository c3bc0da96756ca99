//! What came of a tick: late words of the GPU, told to the scheduler and to the caller.

use super::event::{Event, FinishReason};
use super::perform::InFlight;
use super::score::scored;
use super::{Engine, SequenceId};
use crate::error::Error;
use crate::kernels::Granted;
use crate::kernels::exits::finish::LaneEvent;
use crate::runtime::step::Depth;
use crate::runtime::tick::Order;
use crate::schedule::{End, Outcome, Report};

impl Engine {
    /// Keeps the GPU busy, then reads the oldest tick.
    pub(super) async fn turn(&mut self) -> Result<(), Error> {
        if self.in_flight.is_empty() {
            self.ahead.pause();
            self.guessing.pause();
            self.measure_readback().await?;
        }
        while self.in_flight.len() < self.ahead.ticks() {
            if !self.submit_tick()? {
                break;
            }
        }
        let submitted = self.now();
        let Some(InFlight { pending, submitted: begun, number, read, decodes, asked }) = self.in_flight.pop_front()
        else {
            return Ok(());
        };
        let words: Vec<u32> = self.gpu.finish(pending).await?;
        self.gpu.collect_profile().await?;
        let arrived = self.now();
        self.statistics.host.waiting += arrived - submitted;
        self.ahead.read(begun, arrived);
        let (events, granted) = words.split_at(self.state.lanes.events.bytes() as usize / 4);
        let depths: Vec<u32> = bytemuck::cast_slice(granted).iter().map(|granted: &Granted| granted.rounds).collect();
        let drawn = LaneEvent::parse(events, self.plan.n_rounds(), self.state.sizes.room.alternatives);
        self.count_passes(&depths, decodes, &drawn);
        self.guessing.learn(&drawn, asked, arrived, read.is_empty() && decodes);
        self.deferring.learn(&drawn);
        self.settle_entries(&drawn);
        let mut reports = vec![];
        let mut from = 0;
        for (lane, serial, tokens) in read {
            let depths = depths[from..from + tokens].iter().map(|depth| *depth as u8).collect();
            reports.push(Report::Chunk { lane, serial, depths });
            from += tokens;
        }
        let end = |ended| match ended {
            0 => None,
            1 => Some(End::EndOfSequence),
            _ => Some(End::Length),
        };
        reports.extend(drawn.iter().map(|drawn| {
            let LaneEvent { lane, serial, token, depth, ended, .. } = *drawn;
            Report::Token { lane, serial, token, depth: depth as u8, end: end(ended) }
        }));
        let first = reports.len() - drawn.len();
        for outcome in self.scheduler.report(number, &reports) {
            self.tell_outcome(outcome, |report| &drawn[report - first]);
        }
        self.statistics.host.reporting += self.now() - arrived;
        Ok(())
    }

    /// Reads back nothing once, to know how long that takes.
    async fn measure_readback(&mut self) -> Result<(), Error> {
        if self.clock.is_none() || !self.ahead.is_new() {
            return Ok(());
        }
        let events = &self.state.lanes.events;
        // What is written and not yet submitted goes along with the first.
        let _: Vec<u32> = self.gpu.read(events, 0..1).await?;
        let begun = self.now();
        let _: Vec<u32> = self.gpu.read(events, 0..1).await?;
        self.ahead.measured(self.now() - begun);
        Ok(())
    }

    /// What is known of the lanes' entries, and the most that ticks under way may add.
    fn settle_entries(&mut self, drawn: &[LaneEvent]) {
        let under_way: u32 =
            self.in_flight.iter().filter(|ahead| ahead.decodes).map(|ahead| 1 + ahead.asked.guesses).sum();
        // Rows that entered in the tick that is told of are drawn by the next one.
        let pending = self.state.sizes.room.span;
        for drawn in drawn {
            let Some(lane) = self.lanes.get_mut(drawn.lane as usize).and_then(Option::as_mut) else { continue };
            if let Some(entries) = lane.entries.as_mut().filter(|_| lane.serial == drawn.serial) {
                *entries = (*entries).min((drawn.position + under_way + pending).saturating_sub(lane.reads));
            }
        }
    }

    /// How often the tick passed over the weights: rounds that nobody ran read none.
    fn count_passes(&mut self, read: &[u32], decodes: bool, drawn: &[LaneEvent]) {
        let statistics = &mut self.statistics;
        if !read.is_empty() {
            statistics.outside_passes += 1;
            statistics.round_passes += u64::from(read.iter().max().copied().unwrap_or(0));
            statistics.read += read.len() as u64;
            statistics.read_rounds += read.iter().map(|depth| u64::from(*depth)).sum::<u64>();
        }
        if decodes {
            statistics.outside_passes += u64::from(!drawn.is_empty());
            statistics.round_passes += match self.order {
                // What a wave tells of was run in the tick before it.
                Order::Waves => u64::from(drawn.iter().map(|drawn| drawn.depth).max().unwrap_or(0)),
                // Submitted ahead for sequences that have ended, a tick finds no lane and reads nothing.
                Order::Mixed => u64::from(!self.active.is_empty()),
            };
        }
    }

    /// Tells what follows from a tick; `drawn` finds the event of a report.
    fn tell_outcome<'d>(&mut self, outcome: Outcome, drawn: impl Fn(usize) -> &'d LaneEvent) {
        match outcome {
            Outcome::Prefilled { sequence, lane, done, total } => {
                self.push(sequence, Some(lane), Event::Prefill { done, total });
            }
            Outcome::Token { sequence, lane, report, .. } => self.push_token(sequence, lane, drawn(report)),
            Outcome::Finished { sequence, lane, end } => {
                self.forget_lane(sequence, lane);
                self.finish(sequence, lane, reason(end));
            }
        }
    }

    fn push_token(&mut self, id: SequenceId, lane: u32, drawn: &LaneEvent) {
        // Behind a stop text in the middle of a span nothing is told.
        let guess = self.guessing.told(drawn, &self.tokenizer);
        let Self { active, weights, plan, tokenizer, state, deferring, .. } = self;
        let Some(active) = active.get_mut(&id) else { return };
        deferring.count(drawn, plan.n_rounds(), active);
        // While decoding, top-k runs every round.
        let forced = active.request.depth.is_some() || active.depth == Depth::Together;
        let scored = scored(weights, plan, drawn.depth, if forced { Depth::Fixed(0) } else { active.depth });
        let scores = match &state.leave {
            // The first token comes from the prompt, which nothing was asked of.
            Some(_) if forced || drawn.position == active.request.prompt.len() as u32 => vec![],
            Some(leave) => {
                leave.exit.asked(drawn.depth).filter_map(|depth| drawn.scores.get(depth as usize).copied()).collect()
            }
            None => drawn.scores[..scored.min(drawn.scores.len())].to_vec(),
        };
        let scores = deferring.scores(drawn, active.written + 1).unwrap_or(scores);
        let (event, stopped) = active.token(drawn, scores, guess, tokenizer);
        self.statistics.tokens += 1;
        self.statistics.rounds += u64::from(drawn.depth);
        self.push(id, Some(lane), event);
        if stopped {
            // Nothing, where the same token ended it for another reason.
            self.scheduler.end(id, End::Stop);
            self.forget_lane(id, Some(lane));
            self.finish(id, Some(lane), FinishReason::Stop);
        }
    }

    /// A lane whose sequence has ended says nothing about the next tick.
    fn forget_lane(&mut self, id: SequenceId, lane: Option<u32>) {
        let Some(lane) = lane.and_then(|lane| self.lanes.get_mut(lane as usize)) else { return };
        *lane = lane.filter(|lane| lane.id != id);
    }
}

fn reason(end: End) -> FinishReason {
    match end {
        End::EndOfSequence => FinishReason::EndOfSequence,
        End::Length => FinishReason::Length,
        End::ContextFull => FinishReason::ContextFull,
        End::Cancelled => FinishReason::Cancelled,
        End::Stop => FinishReason::Stop,
    }
}
