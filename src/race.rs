//! A race: the same sequences again and again, in turns as deep as the model decides and at full depth; or with guesses and
//! without.
//!
//! Both run on one engine, one after the other, so that neither disturbs the other's time. The service knows nothing of
//! it: [`Race::begin`] and [`Race::apply`] ask it for ordinary sequences, and turn what it tells of these into the updates
//! of a race, [`Update::RaceBegins`], [`Update::HeatBegins`], [`Update::HeatEnds`] and [`Update::RaceEnds`].
//!
//! **Invariant:** plain data in, plain data out: no clock but the stamps of updates, nobody who waits.

use std::collections::BTreeSet;

use crate::engine::event::{Event, FinishReason};
use crate::service::{Command, Contestant, Drafting, FailureKind, Heat, Settings, Stamped, Task, Tick, Update};

/// What follows from an update.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turn {
    /// What is to be shown in place of the update, and kept of the run.
    pub updates: Vec<Stamped>,
    /// What is asked of the service.
    pub commands: Vec<Command>,
}

/// What a race compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contest {
    /// Depth as the model decides, and full depth.
    Depth {
        /// Rounds of full depth.
        rounds: u32,
    },
    /// Guesses, and none. Texts are the same.
    Guesses {
        /// Who guesses.
        drafting: Drafting,
        /// What is to hold behind the race.
        then: Drafting,
    },
}

impl Contest {
    /// The one whose gain is asked for, and the other.
    fn contestants(&self) -> [Contestant; 2] {
        match self {
            Self::Depth { .. } => [Contestant::Adaptive, Contestant::Full],
            Self::Guesses { .. } => [Contestant::Guessing, Contestant::Plain],
        }
    }

    /// Who guesses for a contestant, where that differs.
    fn drafting(&self, contestant: Contestant) -> Option<&Drafting> {
        match self {
            Self::Depth { .. } => None,
            Self::Guesses { drafting, .. } => {
                Some(if contestant == Contestant::Guessing { drafting } else { &Drafting::OFF })
            }
        }
    }

    /// How a contestant's sequences are written.
    fn settings(&self, contestant: Contestant, settings: Settings) -> Settings {
        match self {
            Self::Depth { rounds } => {
                Settings { depth: (contestant == Contestant::Full).then_some(*rounds), ..settings }
            }
            Self::Guesses { .. } => settings,
        }
    }
}

/// A race under way.
#[derive(Debug, Clone)]
pub struct Race {
    tasks: Vec<Task>,
    /// How they are written, but for what is compared, and the seed.
    settings: Settings,
    contest: Contest,
    /// Who guesses, as far as told.
    drafting: Option<Drafting>,
    /// Number of the heat.
    number: u32,
    /// Heats until times count: pipelines are made and caches warmed before.
    warm_up: u32,
    /// No pause so far in this heat, and no other device.
    undisturbed: bool,
    /// Those of this heat that have not ended.
    open: BTreeSet<u64>,
    /// Tokens that they have written.
    tokens: u64,
    /// No further heat begins.
    stopping: bool,
    over: bool,
    /// The service is at its end.
    gone: bool,
}

impl Race {
    /// Begins at a time with the first heat. `stop` and `ignore_end`, and `depth` where that is compared, are left aside: both
    /// write `max_tokens` each, or the one with the shorter texts would end with idle lanes.
    pub fn begin(at: f64, tasks: Vec<Task>, settings: &Settings, contest: Contest) -> (Self, Turn) {
        let settings = Settings { ignore_end: true, stop: vec![], ..settings.clone() };
        let mut race = Self {
            tasks,
            settings,
            contest,
            drafting: None,
            number: 0,
            warm_up: 2,
            undisturbed: true,
            open: BTreeSet::new(),
            tokens: 0,
            stopping: false,
            over: false,
            gone: false,
        };
        let mut turn = Turn::default();
        turn.updates.push(Stamped { at, update: Update::RaceBegins { sequences: race.tasks.clone() } });
        race.begin_heat(at, &mut turn);
        (race, turn)
    }

    /// Nothing follows any more.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Lets no further heat begin; the one under way ends once [`Command::CancelAll`] is followed.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Takes in what the service tells.
    pub fn apply(&mut self, stamped: &Stamped) -> Turn {
        let (mut turn, at) = (Turn::default(), stamped.at);
        let mut update = stamped.update.clone();
        match &mut update {
            // What is written again and again is no prompt of the person's.
            Update::Submitted { sequences } if sequences.iter().all(|task| self.has(task.name)) => return turn,
            Update::Failed(failure) if failure.kind == FailureKind::Refused => {
                let own = failure.sequence.is_some_and(|name| self.open.remove(&name));
                if own && std::mem::replace(&mut self.stopping, true) {
                    // One reason is enough: all of them ask for the same.
                    self.end_if_done(at, &mut turn);
                    return turn;
                }
                if own {
                    turn.commands.push(Command::CancelAll);
                }
            }
            Update::Failed(_) | Update::LoadingCancelled => {
                self.open.clear();
                (self.stopping, self.gone) = (true, true);
                self.end_if_done(at, &mut turn);
            }
            Update::Drafting { drafting, .. } => self.drafting = Some(drafting.clone()),
            Update::Paused { paused: true } | Update::Rebuilding { .. } => self.undisturbed = false,
            Update::Sequence { sequence, contestant, event } if self.has(*sequence) => {
                *contestant = Some(self.contestant());
                match event {
                    Event::Prefill { .. } => {}
                    Event::Token(_) => self.tokens += 1,
                    Event::Finished { reason, .. } => {
                        self.open.remove(sequence);
                        // Heats end by their length alone.
                        self.stopping |= *reason == FinishReason::Cancelled;
                    }
                }
            }
            _ => {}
        }
        let tick = if let Update::Tick(tick) = &update { Some(tick.clone()) } else { None };
        turn.updates.push(Stamped { at, update });
        if let Some(tick) = tick.filter(|_| self.open.is_empty() && !self.stopping) {
            turn.updates.push(Stamped { at, update: Update::HeatEnds(self.end_heat(&tick)) });
            self.begin_heat(at, &mut turn);
        }
        self.end_if_done(at, &mut turn);
        turn
    }

    fn has(&self, name: u64) -> bool {
        self.tasks.iter().any(|task| task.name == name)
    }

    /// Whose turn it is: whoever goes first changes from one pair to the next.
    fn contestant(&self) -> Contestant {
        let [first, second] = self.contest.contestants();
        if matches!(self.number % 4, 0 | 3) { first } else { second }
    }

    /// How the heat's sequences are written: both of a pair draw from the same seeds.
    fn heat_settings(&self) -> Settings {
        let place = u64::from(self.number / 2) * self.tasks.len() as u64;
        self.contest.settings(self.contestant(), self.settings.at(place))
    }

    fn begin_heat(&mut self, at: f64, turn: &mut Turn) {
        self.open = self.tasks.iter().map(|task| task.name).collect();
        (self.tokens, self.undisturbed) = (0, true);
        let update = Update::HeatBegins { contestant: self.contestant(), number: self.number };
        turn.updates.push(Stamped { at, update });
        if let Some(drafting) = self.contest.drafting(self.contestant()).cloned() {
            turn.commands.push(Command::Drafting { drafting });
        }
        let settings = self.heat_settings();
        turn.commands.push(Command::Submit { sequences: self.tasks.clone(), settings });
    }

    /// The heat is over; what it took. It began when the engine had nothing to do, and ended with this tick.
    fn end_heat(&mut self, tick: &Tick) -> Heat {
        // Whoever wrote beside it took some of its time.
        let alone = tick.burst_tokens == self.tokens;
        let contestant = self.contestant();
        let wanted = self.contest.drafting(contestant);
        let as_wanted = wanted.is_none() || wanted == self.drafting.as_ref();
        let heat = Heat {
            contestant,
            number: self.number,
            seconds: tick.seconds,
            tokens: self.tokens,
            mean_depth: tick.mean_depth,
            ceiling: match self.contest {
                Contest::Depth { .. } => tick.ceiling,
                // No pass with guesses is cheaper than one without.
                Contest::Guesses { .. } => tick.guesses.tokens_a_pass().unwrap_or(1.0),
            },
            counts: self.warm_up == 0 && self.undisturbed && alone && as_wanted,
        };
        self.number += 1;
        self.warm_up = self.warm_up.saturating_sub(1);
        heat
    }

    fn end_if_done(&mut self, at: f64, turn: &mut Turn) {
        if self.stopping && self.open.is_empty() && !std::mem::replace(&mut self.over, true) {
            turn.updates.push(Stamped { at, update: Update::RaceEnds });
            if let Contest::Guesses { then, .. } = &self.contest
                && !self.gone
            {
                turn.commands.push(Command::Drafting { drafting: then.clone() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Draft, Failure, Progress, Prompt};
    use Contestant::{Adaptive, Full};

    fn tasks() -> Vec<Task> {
        [7, 8].map(|name| Task { name, prompt: Prompt::Text("a".into()) }).into()
    }

    fn begin() -> (Race, Turn) {
        Race::begin(
            1.0,
            tasks(),
            &Settings { seed: 5, stop: vec!["x".into()], ..Settings::default() },
            Contest::Depth { rounds: 3 },
        )
    }

    fn apply(race: &mut Race, update: Update) -> Turn {
        race.apply(&Stamped { at: 2.0, update })
    }

    fn of(sequence: u64, event: serde_json::Value) -> Update {
        Update::Sequence { sequence, contestant: None, event: serde_json::from_value(event).unwrap() }
    }

    fn ends(sequence: u64, reason: &str) -> Update {
        of(sequence, serde_json::json!({"event": "finished", "reason": reason, "text": "", "tokens": 1}))
    }

    fn tick(seconds: f64, burst_tokens: u64) -> Update {
        let counts = serde_json::json!({"number": 1, "lanes": [], "waiting": 0, "tokens": 9, "rounds": 9, "dispatches": 9,
            "mean_depth": 1.5, "ceiling": 1.4, "cache": [0.0, 0.0], "seconds": seconds, "burst_tokens": burst_tokens});
        Update::Tick(serde_json::from_value(counts).unwrap())
    }

    /// Ends the heat; what it was, and what is asked for then.
    fn heat(race: &mut Race, others: u64) -> (Heat, Settings) {
        let token = serde_json::json!({"event": "token", "position": 1, "token": 5, "text": "a", "depth": 2,
            "scores": [], "log_probability": -1.0});
        for name in [7, 8] {
            let turn = apply(race, of(name, token.clone()));
            let Update::Sequence { contestant, .. } = &turn.updates[0].update else { panic!("{turn:?}") };
            assert_eq!(*contestant, Some(race.contestant()));
            apply(race, ends(name, "length"));
        }
        let turn = apply(race, tick(2.5, 2 + others));
        let commands = &turn.commands[usize::from(matches!(turn.commands[0], Command::Drafting { .. }))..];
        let [Stamped { update: Update::Tick(_), .. }, Stamped { update: Update::HeatEnds(heat), .. }, begins] =
            &turn.updates[..]
        else {
            panic!("{turn:?}")
        };
        assert!(matches!(begins.update, Update::HeatBegins { number, .. } if number == heat.number + 1), "{begins:?}");
        let [Command::Submit { sequences, settings }] = commands else { panic!("{turn:?}") };
        assert_eq!(*sequences, tasks());
        (*heat, settings.clone())
    }

    #[test]
    fn pairs_share_their_seeds_and_change_their_order() {
        let (mut race, turn) = begin();
        let [Command::Submit { settings, .. }] = &turn.commands[..] else { panic!("{turn:?}") };
        assert!(settings.ignore_end && settings.stop.is_empty());
        let mut settings = settings.clone();
        let mut seen = Vec::new();
        for _ in 0..6 {
            assert_eq!(apply(&mut race, Update::Submitted { sequences: tasks() }), Turn::default());
            let (heat, next) = heat(&mut race, 0);
            assert_eq!((heat.seconds, heat.tokens, heat.ceiling), (2.5, 2, 1.4));
            seen.push((heat.contestant, settings.seed, settings.depth, heat.counts));
            settings = next;
        }
        let adaptive = |seed, counts| (Adaptive, seed, None, counts);
        let full = |seed, counts| (Full, seed, Some(3), counts);
        assert_eq!(
            seen,
            [adaptive(5, false), full(5, false), full(7, true), adaptive(7, true), adaptive(9, true), full(9, true)]
        );
    }

    #[test]
    fn guesses_are_switched_between_heats_and_come_back_in_the_end() {
        let person = Drafting { draft: Draft::Lookup, guesses: Some(3) };
        let contest = Contest::Guesses { drafting: Drafting::AUTO, then: person.clone() };
        let settings = Settings { depth: Some(2), ..Settings::default() };
        let (mut race, turn) = Race::begin(0.0, tasks(), &settings, contest);
        let mut asked = turn.commands;
        for number in 0..5 {
            let wanted = if matches!(number, 0 | 3 | 4) { Drafting::AUTO } else { Drafting::OFF };
            assert_eq!(asked[0], Command::Drafting { drafting: wanted.clone() });
            assert!(matches!(&asked[1], Command::Submit { settings, .. } if settings.depth == Some(2)), "{asked:?}");
            // What another device cannot do does not count.
            let drafting = if number == 4 { Drafting::OFF } else { wanted };
            apply(&mut race, Update::Drafting { drafting, by: vec![] });
            assert_eq!(heat(&mut race, 0).0.counts, matches!(number, 2 | 3), "{number}");
            let mut next = Turn::default();
            race.clone().begin_heat(0.0, &mut next);
            asked = next.commands;
        }
        race.stop();
        apply(&mut race, ends(7, "cancelled"));
        let turn = apply(&mut race, ends(8, "cancelled"));
        assert_eq!(turn.commands, [Command::Drafting { drafting: person }]);
    }

    #[test]
    fn a_heat_that_was_disturbed_does_not_count() {
        let (mut race, _) = begin();
        heat(&mut race, 0);
        heat(&mut race, 0);
        apply(&mut race, Update::Paused { paused: true });
        assert!(!heat(&mut race, 0).0.counts);
        assert!(heat(&mut race, 0).0.counts, "the next is undisturbed");
        apply(&mut race, Update::Rebuilding { why: "lost".into(), progress: Progress::default() });
        assert!(!heat(&mut race, 0).0.counts);
        assert!(!heat(&mut race, 1).0.counts, "somebody else wrote a token");
    }

    #[test]
    fn a_race_ends_when_all_its_sequences_have() {
        let (mut race, _) = begin();
        race.stop();
        assert!(!race.is_over());
        apply(&mut race, ends(7, "cancelled"));
        let turn = apply(&mut race, ends(8, "cancelled"));
        let [last, end] = &turn.updates[..] else { panic!("{turn:?}") };
        assert!(matches!(last.update, Update::Sequence { contestant: Some(Adaptive), .. }), "{last:?}");
        assert_eq!((&end.update, turn.commands.len(), race.is_over()), (&Update::RaceEnds, 0, true));
        // The same where somebody else cancels.
        let (mut race, _) = begin();
        apply(&mut race, ends(7, "cancelled"));
        apply(&mut race, ends(8, "length"));
        assert!(race.is_over());
    }

    #[test]
    fn what_cannot_be_written_ends_the_race_with_one_reason() {
        let (mut race, _) = begin();
        let failed =
            |sequence| Update::Failed(Failure { kind: FailureKind::Refused, sequence, message: "too long".into() });
        assert_eq!(apply(&mut race, failed(None)).updates.len(), 1, "it concerns something else");
        let first = apply(&mut race, failed(Some(7)));
        assert_eq!((first.updates.len(), &first.commands[..]), (1, &[Command::CancelAll][..]));
        let second = apply(&mut race, failed(Some(8)));
        assert_eq!(second.updates, [Stamped { at: 2.0, update: Update::RaceEnds }]);
        let (mut race, _) = begin();
        let lost = Update::Failed(Failure { kind: FailureKind::Lost, sequence: None, message: "gone".into() });
        let turn = apply(&mut race, lost.clone());
        let updates: Vec<Update> = turn.updates.into_iter().map(|stamped| stamped.update).collect();
        assert_eq!((updates, race.is_over()), (vec![Update::RaceEnds, lost], true));
    }
}
