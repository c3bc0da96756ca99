//! What is shown: everything that updates have told, in bounded memory.
//!
//! **Invariant:** [`View::apply`] alone changes it, so a saved run looks like the run itself.

use std::collections::{BTreeMap, VecDeque};

use crate::depth::DepthHistogram;
use crate::depth::policy::Rule;
use crate::engine::event::{Event, FinishReason, Guesser, TokenEvent};
use crate::engine::guessing::Counts;
use crate::gpu::traits::Kind;
use crate::service::{
    Contestant, Drafting, Failure, GateFacts, Lane, ModelFacts, Progress, Prompt, Stamped, Task, Tick, Update,
};

use super::heats::RaceView;
use super::rates::Rates;

/// Sequences that are kept once they have ended.
const MOST_SEQUENCES: usize = 512;
/// Tokens that are kept of one sequence; of longer ones the latest.
const MOST_TOKENS: usize = 4096;
/// Prompts that are kept.
const MOST_ENTRIES: usize = 64;
/// Ticks whose lanes are kept.
const MOST_TICKS: usize = 240;
/// Messages that are kept.
const MOST_FAILURES: usize = 8;

/// Names a sequence of the view: a race writes each twice.
pub type Key = (u64, Option<Contestant>);

/// A sequence as far as it is written.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    /// Its latest tokens.
    pub tokens: VecDeque<TokenEvent>,
    /// Tokens that are no longer kept.
    pub forgotten: usize,
    /// Text that came behind the last token.
    pub tail: String,
    /// Tokens of the prompt that are read, and all of them.
    pub prompt: (u32, u32),
    /// Why it ended, once it has.
    pub end: Option<FinishReason>,
}

impl Sequence {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Prefill { done, total } => self.prompt = (*done, *total),
            Event::Token(token) => {
                if self.tokens.len() == MOST_TOKENS {
                    self.tokens.pop_front();
                    self.forgotten += 1;
                }
                self.tokens.push_back(token.clone());
            }
            Event::Finished { reason, text, .. } => {
                self.tail.clone_from(text);
                self.end = Some(*reason);
            }
        }
    }

    /// Its text.
    pub fn text(&self) -> String {
        self.tokens.iter().map(|token| token.text.as_str()).chain([self.tail.as_str()]).collect()
    }
}

/// A prompt and who continues it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was asked, the last turn of a conversation.
    pub prompt: String,
    /// Part of a conversation.
    pub chat: bool,
    /// Names of its sequences.
    pub sequences: Vec<u64>,
}

/// All that is shown.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The model, once it is loaded.
    pub facts: Option<Box<ModelFacts>>,
    /// How far it is, while it is not.
    pub loading: Option<Progress>,
    /// Time of the last update.
    pub now: f64,
    /// Sequences under way and the last that ended.
    pub sequences: BTreeMap<Key, Sequence>,
    /// Prompts, oldest first.
    pub entries: VecDeque<Entry>,
    /// The race.
    pub race: RaceView,
    /// Lanes at each of the last ticks.
    pub lanes: VecDeque<Vec<Lane>>,
    /// The last tick.
    pub tick: Option<Box<Tick>>,
    /// Tokens per second over time.
    pub rates: Rates,
    /// Tokens by depth, but for those that a race made run all rounds.
    pub histogram: DepthHistogram,
    /// The gate that decides; `None` where every token runs all rounds.
    pub gate: Option<String>,
    /// Thresholds that hold, first round first.
    pub thresholds: Vec<f32>,
    /// What a score is asked for at its threshold.
    pub rule: Rule,
    /// What holds of guesses, as it was asked for.
    pub drafting: Drafting,
    /// Who guesses.
    pub guessers: Vec<Guesser>,
    /// What came of guesses when last somebody guessed.
    pub guesses: Counts,
    /// The engine stands between two ticks.
    pub paused: bool,
    /// What went wrong, latest last.
    pub failures: VecDeque<Failure>,
    /// The service is at its end.
    pub ended: bool,
}

impl View {
    /// What there is to know of the gate that decides.
    pub fn gate_facts(&self) -> Option<&GateFacts> {
        self.facts.as_ref()?.gates.iter().find(|gate| Some(&gate.name) == self.gate.as_ref())
    }

    /// Whether its thresholds can be moved; those of a gate that was set in place of the model's own always can.
    pub fn has_thresholds(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.thresholds || facts.gate != self.gate)
    }

    /// Takes in what was told.
    pub fn apply(&mut self, stamped: &Stamped) {
        self.now = stamped.at;
        match &stamped.update {
            Update::Loading(progress) => {
                if self.facts.is_some() || self.ended {
                    *self = Self { now: stamped.at, ..Self::default() };
                }
                self.loading = Some(*progress);
            }
            Update::Ready(facts) => {
                self.loading = None;
                self.thresholds = vec![0.0; facts.rounds as usize];
                self.rule = Rule::default();
                self.gate.clone_from(&facts.gate);
                self.facts = Some(facts.clone());
            }
            Update::Submitted { sequences } => self.submitted(sequences),
            Update::RaceBegins { sequences } => {
                let names = sequences.iter().map(|task| task.name).collect();
                let prompt = sequences.first().map(|task| shown(&task.prompt).0).unwrap_or_default();
                self.race = RaceView { running: true, prompt, sequences: names, ..RaceView::default() };
            }
            Update::HeatBegins { contestant, .. } => {
                self.race.begins(*contestant);
                for name in self.race.sequences.clone() {
                    self.sequences.insert((name, Some(*contestant)), Sequence::default());
                }
            }
            Update::HeatEnds(heat) => self.race.add(heat),
            Update::RaceEnds => {
                self.race.running = false;
                self.race.turn = None;
            }
            Update::Sequence { sequence, contestant, event } => {
                if let Event::Token(token) = event
                    && *contestant != Some(Contestant::Full)
                {
                    self.histogram.add(token.depth);
                }
                self.sequences.entry((*sequence, *contestant)).or_default().apply(event);
                if matches!(event, Event::Finished { .. }) {
                    self.forget();
                }
            }
            Update::Tick(tick) => {
                self.rates.add(stamped.at, tick.tokens);
                self.lanes.push_back(tick.lanes.clone());
                if self.lanes.len() > MOST_TICKS {
                    self.lanes.pop_front();
                }
                if tick.guesses != Counts::default() {
                    self.guesses = tick.guesses;
                }
                self.tick = Some(tick.clone());
            }
            Update::Gate { gate } => {
                self.gate.clone_from(gate);
                if let Some((threshold, rule)) = self.gate_facts().map(|gate| (gate.threshold, gate.rule)) {
                    self.thresholds.fill(threshold);
                    self.rule = rule;
                }
            }
            Update::Thresholds { thresholds } => self.thresholds.clone_from(thresholds),
            Update::Rule { rule } => self.rule = *rule,
            Update::Drafting { drafting, by } => {
                self.drafting.clone_from(drafting);
                self.guessers.clone_from(by);
                if by.is_empty() && !self.race.running {
                    self.guesses = Counts::default();
                }
            }
            Update::Paused { paused } => self.paused = *paused,
            Update::Rebuilding { progress, .. } => self.loading = Some(*progress),
            Update::Rebuilt(facts) => {
                self.loading = None;
                self.facts = Some(facts.clone());
            }
            Update::Failed(failure) => self.failed(failure),
            Update::LoadingCancelled => {
                self.loading = None;
                self.ended = true;
            }
        }
    }

    fn submitted(&mut self, sequences: &[Task]) {
        let Some(first) = sequences.first() else { return };
        let (prompt, chat) = shown(&first.prompt);
        if !self.race.running {
            // Its figures stay, its texts make room.
            self.race.sequences.clear();
        }
        for task in sequences {
            self.sequences.insert((task.name, None), Sequence::default());
        }
        self.entries.push_back(Entry { prompt, chat, sequences: sequences.iter().map(|task| task.name).collect() });
        if self.entries.len() > MOST_ENTRIES {
            self.entries.pop_front();
        }
    }

    fn failed(&mut self, failure: &Failure) {
        self.failures.push_back(failure.clone());
        if self.failures.len() > MOST_FAILURES {
            self.failures.pop_front();
        }
        if failure.kind.is_final() {
            self.ended = true;
            self.loading = None;
            self.race.running = false;
            if let Some(tick) = &mut self.tick {
                tick.lanes.iter_mut().for_each(|lane| *lane = Lane::default());
            }
        }
    }

    /// Lets go of the oldest sequences that have ended.
    fn forget(&mut self) {
        let surplus = self.sequences.len().saturating_sub(MOST_SEQUENCES);
        let ended = self.sequences.iter().filter(|(_, sequence)| sequence.end.is_some());
        let oldest: Vec<Key> = ended.map(|(key, _)| *key).take(surplus).collect();
        for key in oldest {
            self.sequences.remove(&key);
        }
    }

    /// Rounds of the model; 1 before there is one.
    pub fn rounds(&self) -> u32 {
        self.facts.as_ref().map_or(1, |facts| facts.rounds.max(1))
    }

    /// Whether the engine computes on the processors that draw.
    pub fn shares_processors(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| Kind::of_name(&facts.adapter.kind).shares_processors())
    }

    /// Whether sequences are under way.
    pub fn is_busy(&self) -> bool {
        self.race.running || (!self.ended && self.sequences.values().any(|sequence| sequence.end.is_none()))
    }

    /// Forgets prompts and texts that are not under way.
    pub fn clear(&mut self) {
        self.sequences.retain(|_, sequence| sequence.end.is_none());
        let sequences = &self.sequences;
        self.entries.retain(|entry| entry.sequences.iter().any(|name| sequences.contains_key(&(*name, None))));
        self.failures.clear();
        self.histogram = DepthHistogram::default();
        if !self.race.running {
            self.race = RaceView::default();
        }
    }
}

/// What is shown of a prompt, and whether it is a conversation's.
fn shown(prompt: &Prompt) -> (String, bool) {
    match prompt {
        Prompt::Text(text) => (text.clone(), false),
        Prompt::Tokens(tokens) => (format!("{} tokens", tokens.len()), false),
        Prompt::Chat(turns) => (turns.last().map(|turn| turn.content.clone()).unwrap_or_default(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(view: &mut View, at: f64, update: Update) {
        view.apply(&Stamped { at, update });
    }

    fn token(depth: u32) -> Event {
        serde_json::from_value(serde_json::json!({
            "event": "token", "position": 1, "token": 5, "text": "a", "depth": depth, "scores": [0.5],
            "log_probability": -1.0, "alternatives": [],
        }))
        .unwrap()
    }

    #[test]
    fn long_runs_take_bounded_memory() {
        let mut view = View::default();
        let end = Event::Finished { reason: FinishReason::Length, text: String::new(), tokens: 0 };
        for name in 0..2000 {
            let sequences = vec![Task { name, prompt: Prompt::Text("p".into()) }];
            show(&mut view, name as f64, Update::Submitted { sequences });
            show(&mut view, name as f64, Update::Sequence { sequence: name, contestant: None, event: end.clone() });
        }
        for _ in 0..2 * MOST_TOKENS {
            show(&mut view, 2e3, Update::Sequence { sequence: 9000, contestant: None, event: token(2) });
        }
        assert!(view.sequences.len() <= MOST_SEQUENCES + 1 && view.entries.len() <= MOST_ENTRIES);
        let long = &view.sequences[&(9000, None)];
        assert_eq!((long.tokens.len(), long.forgotten), (MOST_TOKENS, MOST_TOKENS));
        assert_eq!(view.histogram.counts[2], 2 * MOST_TOKENS as u64);
    }

    #[test]
    fn a_new_model_starts_afresh() {
        let mut view = View { ended: true, ..View::default() };
        view.histogram.add(1);
        show(&mut view, 5.0, Update::Loading(Progress::weights(1, 2)));
        assert_eq!((view.histogram.total(), view.loading, view.ended), (0, Some(Progress::weights(1, 2)), false));
    }
}
