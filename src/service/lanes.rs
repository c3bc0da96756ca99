//! Which sequence is in which lane, as far as its events tell.

use serde::{Deserialize, Serialize};

use crate::engine::event::Event;

/// What a lane does. Written as `[state, sequence, depth]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(from = "(u8, u64, u32)", into = "(u8, u64, u32)")]
pub struct Lane {
    /// Idle, or what is done for its sequence.
    pub state: LaneState,
    /// Name of the sequence; 0 where it is idle.
    pub sequence: u64,
    /// Rounds of its last token; 0 before the first.
    pub depth: u32,
}

/// What is done in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LaneState {
    /// Nothing.
    #[default]
    Idle,
    /// A prompt is read.
    Reading,
    /// Tokens are written.
    Writing,
}

impl From<(u8, u64, u32)> for Lane {
    fn from((state, sequence, depth): (u8, u64, u32)) -> Self {
        let state = [LaneState::Idle, LaneState::Reading, LaneState::Writing][usize::from(state.min(2))];
        Self { state, sequence, depth }
    }
}

impl From<Lane> for (u8, u64, u32) {
    fn from(lane: Lane) -> Self {
        (lane.state as u8, lane.sequence, lane.depth)
    }
}

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
    pub fn apply(&mut self, sequence: u64, event: &Event) {
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
