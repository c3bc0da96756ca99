//! Saving a run and playing it again.

use std::collections::VecDeque;

use super::view::View;
use crate::service::{Stamped, Update, trace};

/// About as many bytes of updates are kept for saving.
const MOST_BYTES: usize = 32 << 20;

/// The latest updates, to be saved.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    ready: Option<Stamped>,
    updates: VecDeque<Stamped>,
    bytes: usize,
}

fn size(stamped: &Stamped) -> usize {
    64 + match &stamped.update {
        Update::Tick(tick) => 128 + 16 * tick.lanes.len(),
        Update::Submitted { sequences } | Update::RaceBegins { sequences } => 256 * sequences.len(),
        _ => 192,
    }
}

impl Recording {
    /// Keeps an update.
    pub fn add(&mut self, stamped: &Stamped) {
        match &stamped.update {
            Update::Loading(_) => return,
            Update::Ready(_) => *self = Self { ready: Some(stamped.clone()), ..Self::default() },
            _ => {
                self.bytes += size(stamped);
                self.updates.push_back(stamped.clone());
            }
        }
        while self.bytes > MOST_BYTES {
            let Some(oldest) = self.updates.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }

    /// As text; `None` before a model is loaded.
    pub fn save(&self) -> Option<String> {
        Some(trace::write(self.ready.iter().chain(&self.updates))).filter(|_| self.ready.is_some())
    }
}

/// A saved run that is being played.
#[derive(Debug, Clone)]
pub struct Replay {
    updates: Vec<Stamped>,
    /// Updates that the view has seen.
    seen: usize,
    /// What is shown of it.
    pub view: View,
    /// Seconds from its beginning.
    pub position: f64,
    /// Runs by itself.
    pub playing: bool,
    /// Times as fast as it was.
    pub speed: f32,
}

impl Replay {
    /// From its beginning, playing.
    pub fn new(updates: Vec<Stamped>) -> Self {
        let view = View::default();
        let mut replay = Self { updates, seen: 0, view, position: 0.0, playing: true, speed: 1.0 };
        replay.seek(0.0);
        replay
    }

    /// Where time begins: when the model was ready, for nobody waits for it again.
    fn begin(&self) -> f64 {
        let ready = self.updates.iter().position(|stamped| matches!(stamped.update, Update::Ready(_)));
        let first = ready.and_then(|ready| self.updates.get(ready + 1)).or(self.updates.first());
        first.map_or(0.0, |stamped| stamped.at)
    }

    /// Seconds in all.
    pub fn length(&self) -> f64 {
        self.updates.last().map_or(0.0, |last| last.at - self.begin())
    }

    /// Goes to a time.
    pub fn seek(&mut self, position: f64) {
        if position < self.position {
            self.view = View::default();
            self.seen = 0;
        }
        self.position = position.clamp(0.0, self.length());
        let until = self.begin() + self.position;
        while let Some(next) = self.updates.get(self.seen).filter(|next| next.at <= until) {
            self.view.apply(next);
            self.seen += 1;
        }
        if self.position >= self.length() {
            self.playing = false;
        }
    }

    /// To the end of the next tick.
    pub fn step(&mut self) {
        let is_tick = |stamped: &&Stamped| matches!(stamped.update, Update::Tick(_));
        let next = self.updates.get(self.seen..).and_then(|rest| rest.iter().find(is_tick));
        let position = next.map_or(self.length(), |next| next.at - self.begin());
        self.seek(position);
    }
}
