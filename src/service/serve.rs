//! The loop: commands between two ticks, updates after each.

use std::collections::HashMap;

use futures_channel::mpsc::UnboundedReceiver;

use super::lanes::Lanes;
use super::load::{Inbox, Loaded, Start, load};
use super::message::{
    Command, Contestant, Failure, FailureKind, Prompt, Role, Settings, Stamped, Task, Tick, Turn, Update,
};
use super::meter::Meter;
use super::race::Race;
use crate::depth::policy::Rule;
use crate::engine::event::Event;
use crate::engine::request::{Request, Routing};
use crate::engine::{Engine, SequenceId, Told};
use crate::error::{Error, GpuError};
use crate::gpu::Gpu;
use crate::text::chat::transcript;
use crate::text::{ChatTemplate, Message};

/// Loads a model and serves it until nobody can send commands any more and all that was asked is done, until the
/// loading is broken off, or until something fails for good. Everything that happens is told to `updates`. `open` is
/// called again where a device is lost.
pub async fn run(
    start: Start,
    mut open: impl AsyncFnMut() -> Result<Gpu, GpuError>,
    commands: UnboundedReceiver<Command>,
    clock: &dyn Fn() -> f64,
    updates: &mut dyn FnMut(Stamped),
) {
    let mut tell = |update| updates(Stamped { at: clock(), update });
    let mut inbox = Inbox::new(commands);
    tell(Update::Loading { done: 0, total: 0 });
    let loading = async {
        let gpu = open().await?;
        load(&start, gpu, &mut |done, total| tell(Update::Loading { done, total })).await
    };
    match inbox.unless_cancelled(loading).await {
        Some(Ok(loaded)) => {
            tell(Update::Ready(Box::new(loaded.facts.clone())));
            let mut server = Server::new(loaded, clock, &mut tell);
            while let Err(error) = server.serve(&mut inbox).await {
                if !server.rebuild(error, &start, &mut open, &mut inbox).await {
                    return;
                }
            }
        }
        Some(Err(error)) => {
            let kind = if lost(&error) { FailureKind::Lost } else { FailureKind::Load };
            tell(Update::Failed(Failure { kind, sequence: None, message: error.to_string() }));
        }
        None => tell(Update::LoadingCancelled),
    }
}

pub(super) fn lost(error: &Error) -> bool {
    matches!(error, Error::Gpu(GpuError::Lost { .. }))
}

/// A sequence that has not ended.
pub(super) struct Live {
    /// The caller's name.
    pub name: u64,
    pub request: Request,
    /// Tokens that were told.
    pub written: Vec<u32>,
}

pub(super) struct Server<'a> {
    pub engine: Engine,
    template: Option<ChatTemplate>,
    rounds: u32,
    pub lanes: Lanes,
    pub under_way: HashMap<SequenceId, Live>,
    pub race: Option<Race>,
    /// Those that were set.
    pub thresholds: Option<Vec<f32>>,
    pub rule: Option<Rule>,
    paused: bool,
    paused_at: f64,
    /// Ticks to be run in spite of the pause.
    steps: u32,
    pub meter: Meter,
    /// What engines did whose device is gone, as [`Server::done`] counts it.
    pub done_before: [u64; 4],
    /// Devices that were lost since the last tick that ended well.
    pub losses: u32,
    pub clock: &'a dyn Fn() -> f64,
    pub tell: &'a mut dyn FnMut(Update),
}

impl<'a> Server<'a> {
    fn new(loaded: Loaded, clock: &'a dyn Fn() -> f64, tell: &'a mut dyn FnMut(Update)) -> Self {
        let Loaded { engine, template, facts } = loaded;
        Self {
            engine,
            template,
            rounds: facts.rounds,
            lanes: Lanes::new(facts.lanes),
            under_way: HashMap::new(),
            race: None,
            thresholds: None,
            rule: None,
            paused: false,
            paused_at: 0.0,
            steps: 0,
            meter: Meter::default(),
            done_before: [0; 4],
            losses: 0,
            clock,
            tell,
        }
    }

    /// Until nobody is left to ask for anything and all is done, or the engine can go on no further.
    async fn serve(&mut self, inbox: &mut Inbox) -> Result<(), Error> {
        loop {
            while let Some(command) = inbox.try_next() {
                self.obey(command);
            }
            let idle = self.under_way.is_empty() && self.engine.is_idle();
            if idle {
                if inbox.closed {
                    return Ok(());
                }
                self.next_heat();
            }
            let at_rest = self.under_way.is_empty() && self.engine.is_idle();
            if at_rest || (self.paused && self.steps == 0) {
                // Nobody is left who could end a pause.
                let Some(command) = inbox.next().await else { return Ok(()) };
                self.obey(command);
                continue;
            }
            self.steps = self.steps.saturating_sub(1);
            let events = self.engine.tick().await?;
            self.losses = 0;
            self.ticked(events);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Submit { sequences, settings } => {
                if self.race.is_some() {
                    let message = "a race is under way; stop it before other sequences are written".to_owned();
                    return sequences
                        .iter()
                        .for_each(|task| self.failed(FailureKind::Refused, Some(task.name), message.clone()));
                }
                let mut accepted = Vec::with_capacity(sequences.len());
                for (place, task) in (0..).zip(sequences) {
                    match self.submit(&task, &settings, place) {
                        Ok(()) => accepted.push(task),
                        Err(message) => self.failed(FailureKind::Refused, Some(task.name), message),
                    }
                }
                (self.tell)(Update::Submitted { sequences: accepted });
            }
            Command::Cancel { sequence } => {
                let found = self.under_way.iter().find(|(_, live)| live.name == sequence).map(|(id, _)| *id);
                // One that has ended meanwhile needs no end.
                if found.is_some_and(|id| self.engine.cancel(id)) {
                    self.tell_cancelled();
                }
            }
            Command::CancelAll => {
                self.end_race();
                self.cancel_all();
            }
            Command::Thresholds { thresholds } => match self.engine.set_thresholds(&thresholds) {
                Ok(()) => {
                    self.thresholds = Some(thresholds.clone());
                    (self.tell)(Update::Thresholds { thresholds });
                }
                Err(error) => self.failed(FailureKind::Refused, None, error.to_string()),
            },
            Command::Rule { rule } => match self.engine.set_rule(rule) {
                Ok(()) => {
                    self.rule = Some(rule);
                    (self.tell)(Update::Rule { rule });
                }
                Err(error) => self.failed(FailureKind::Refused, None, error.to_string()),
            },
            Command::Pause { paused } => self.pause(paused),
            Command::Tick => self.steps += u32::from(self.paused),
            Command::Race { sequences, settings } => self.begin_race(sequences, &settings),
            Command::StopRace => {
                if self.race.is_some() {
                    self.end_race();
                    self.cancel_all();
                }
            }
        }
    }

    pub fn failed(&mut self, kind: FailureKind, sequence: Option<u64>, message: String) {
        (self.tell)(Update::Failed(Failure { kind, sequence, message }));
    }

    fn pause(&mut self, paused: bool) {
        let now = (self.clock)();
        match (self.paused, paused) {
            (false, true) => {
                self.paused_at = now;
                if let Some(race) = &mut self.race {
                    race.undisturbed = false;
                }
            }
            // The time that passed was nobody's.
            (true, false) => self.meter.began += now - self.paused_at,
            _ => {}
        }
        self.paused = paused;
        self.steps = 0;
        (self.tell)(Update::Paused { paused });
    }

    /// Tokens of a prompt, and a further text to stop at.
    fn encode(&self, prompt: &Prompt) -> Result<(Vec<u32>, Option<String>), Error> {
        let tokenizer = self.engine.tokenizer();
        let turns = match prompt {
            Prompt::Text(text) => return Ok((tokenizer.encode_prompt(text, true)?, None)),
            Prompt::Chat(turns) => turns,
        };
        let message = |Turn { role, content }: &Turn| {
            let role = match role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            Message::new(role, content)
        };
        let messages: Vec<Message> = turns.iter().map(message).collect();
        match &self.template {
            // The template writes the begin-of-sequence token itself where the model wants one.
            Some(template) => Ok((tokenizer.encode(&template.render(&messages, true)?, true)?, None)),
            None => Ok((tokenizer.encode_prompt(&transcript(&messages), true)?, Some("\nUser:".into()))),
        }
    }

    fn submit(&mut self, task: &Task, settings: &Settings, place: u64) -> Result<(), String> {
        if self.under_way.values().any(|live| live.name == task.name) {
            return Err(format!("a sequence of the name {} is under way; give every sequence its own", task.name));
        }
        let (prompt, stop) = self.encode(&task.prompt).map_err(|error| error.to_string())?;
        let mut request = request(prompt, settings, place);
        request.stop.extend(stop);
        self.start(task.name, request)
    }

    fn start(&mut self, name: u64, request: Request) -> Result<(), String> {
        if self.under_way.is_empty() {
            self.meter = Meter::begin((self.clock)());
        }
        let id = self.engine.submit(request.clone()).map_err(|error| error.to_string())?;
        self.under_way.insert(id, Live { name, request, written: Vec::new() });
        Ok(())
    }

    fn begin_race(&mut self, sequences: Vec<Task>, settings: &Settings) {
        if self.race.is_some() || !self.under_way.is_empty() {
            let message = "sequences are under way; a race begins when they have ended or are cancelled".to_owned();
            return self.failed(FailureKind::Refused, None, message);
        }
        if self.rounds < 2 || sequences.is_empty() {
            let message = match sequences.is_empty() {
                true => "a race needs at least one prompt".to_owned(),
                false => "every token of this model runs one round, so there is nothing to race against".to_owned(),
            };
            return self.failed(FailureKind::Refused, None, message);
        }
        // Both write as many tokens, or the one with the shorter texts would end with idle lanes.
        let settings = Settings { ignore_end: true, stop: vec![], ..settings.clone() };
        let mut prompts = Vec::with_capacity(sequences.len());
        for task in &sequences {
            match self.encode(&task.prompt) {
                Ok((prompt, _)) => prompts.push((task.name, prompt)),
                Err(error) => return self.failed(FailureKind::Refused, Some(task.name), error.to_string()),
            }
        }
        self.race = Some(Race::new(prompts, settings));
        (self.tell)(Update::RaceBegins { sequences });
    }

    fn end_race(&mut self) {
        if self.race.take().is_some() {
            (self.tell)(Update::RaceEnds);
        }
    }

    /// Begins the next heat, if there is a race.
    fn next_heat(&mut self) {
        let Some(race) = &self.race else { return };
        let (contestant, number, settings) = (race.contestant(), race.number, race.heat_settings(self.rounds));
        let prompts = race.prompts.clone();
        (self.tell)(Update::HeatBegins { contestant, number });
        for (place, (name, prompt)) in (0..).zip(prompts) {
            if let Err(message) = self.start(name, request(prompt, &settings, place)) {
                self.failed(FailureKind::Refused, Some(name), message);
                self.end_race();
                return self.cancel_all();
            }
        }
    }

    fn cancel_all(&mut self) {
        let ids: Vec<SequenceId> = self.under_way.keys().copied().collect();
        for id in ids {
            self.engine.cancel(id);
        }
        self.tell_cancelled();
    }

    /// Tells of ends that need no tick.
    fn tell_cancelled(&mut self) {
        let events = self.engine.take_told();
        self.ticked(events);
    }

    fn ticked(&mut self, events: Vec<Told>) {
        let now = (self.clock)();
        self.tell_events(events);
        let tick = self.view(now);
        (self.tell)(Update::Tick(Box::new(tick)));
        if !self.under_way.is_empty() {
            return;
        }
        let ceiling = self.meter.ceiling(&self.engine);
        if let Some(race) = &mut self.race {
            let heat = race.end_heat(&self.meter, now, ceiling);
            (self.tell)(Update::HeatEnds(heat));
        }
    }

    fn tell_events(&mut self, events: Vec<Told>) {
        let contestant: Option<Contestant> = self.race.as_ref().map(Race::contestant);
        for Told { sequence: id, lane, event } in events {
            let Some(live) = self.under_way.get_mut(&id) else { continue };
            let sequence = live.name;
            self.lanes.tell(sequence, lane, &event);
            match &event {
                Event::Token(token) => {
                    self.meter.add(token, live.written.is_empty());
                    live.written.push(token.token);
                }
                Event::Finished { .. } => drop(self.under_way.remove(&id)),
                // Read again on another device: nobody needs to know.
                Event::Prefill { .. } if !live.written.is_empty() => continue,
                Event::Prefill { .. } => {}
            }
            (self.tell)(Update::Sequence { sequence, contestant, event });
        }
    }

    /// Ticks, tokens, rounds and dispatches since the model was first loaded.
    pub fn done(&self) -> [u64; 4] {
        let now = self.engine.statistics();
        let mut sums = self.done_before;
        sums.iter_mut().zip([now.ticks, now.tokens, now.rounds, now.dispatches]).for_each(|(sum, now)| *sum += now);
        sums
    }

    fn view(&self, now: f64) -> Tick {
        let ([number, tokens, rounds, dispatches], schedule) = (self.done(), self.engine.schedule());
        let pages = |pages: [u32; 2]| (pages[0] + pages[1]) as f32;
        let (used, kept, free) = (pages(schedule.pages_used), pages(schedule.pages_cached), pages(schedule.pages_free));
        let all = (used + kept + free).max(1.0);
        Tick {
            number,
            lanes: self.lanes.view(),
            waiting: schedule.waiting,
            tokens,
            rounds,
            dispatches,
            seconds: now - self.meter.began,
            burst_tokens: self.meter.tokens,
            mean_depth: self.meter.mean_depth(),
            ceiling: self.meter.ceiling(&self.engine),
            cache: [used / all, kept / all],
        }
    }
}

fn request(prompt: Vec<u32>, settings: &Settings, place: u64) -> Request {
    Request {
        prompt,
        max_tokens: settings.max_tokens,
        sampling: settings.sampling(place),
        stop: settings.stop.clone(),
        ignore_end: settings.ignore_end,
        depth: settings.depth,
        routing: Routing::Threshold,
        priority: 0,
    }
}
