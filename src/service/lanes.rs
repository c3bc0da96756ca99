//! Which sequence is in which lane, as far as its events tell.

use super::message::{Lane, LaneState};
use crate::engine::event::Event;

/// Lanes by what is told of their sequences.
#[derive(Debug, Clone)]
pub struct Lanes(Vec<Lane>);

impl Lanes {
    /// All idle.
    pub fn new(count: u32) -> Self {
        Self(vec![Lane::default(); count as usize])
    }

    /// What each does.
    pub fn view(&self) -> Vec<Lane> {
        self.0.clone()
    }

    /// A sequence that is told of for the first time takes the first idle lane, and leaves it when it ends.
    pub fn tell(&mut self, sequence: u64, event: &Event) {
        let own = |lane: &Lane| lane.state != LaneState::Idle && lane.sequence == sequence;
        let place = self.0.iter().position(own).or_else(|| self.0.iter().position(|l| l.state == LaneState::Idle));
        let Some(lane) = place.map(|place| &mut self.0[place]) else { return };
        *lane = match event {
            Event::Prefill { .. } => Lane { state: LaneState::Reading, sequence, depth: lane.depth },
            Event::Token(token) => Lane { state: LaneState::Writing, sequence, depth: token.depth },
            Event::Finished { .. } => Lane::default(),
        };
    }
}
