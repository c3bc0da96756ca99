//! What is done in each lane, as events tell.

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

    /// What happened to a sequence in its lane, if it has one. A sequence that was preempted leaves its lane when it is told
    /// of in another, or ends while it waits.
    pub fn apply(&mut self, sequence: u64, lane: Option<u32>, event: &Event) {
        let own = |lane: &Lane| lane.state != LaneState::Idle && lane.sequence == sequence;
        for (_, left) in (0..).zip(&mut self.0).filter(|(place, left)| Some(*place) != lane && own(left)) {
            *left = Lane::default();
        }
        let Some(lane) = lane.and_then(|lane| self.0.get_mut(lane as usize)) else { return };
        *lane = match event {
            Event::Prefill { .. } => Lane { state: LaneState::Reading, sequence, depth: lane.depth },
            Event::Token(token) => Lane { state: LaneState::Writing, sequence, depth: token.depth },
            Event::Finished { .. } => Lane::default(),
        };
    }
}
