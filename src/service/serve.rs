//! The loop: commands between two ticks, updates after each.

use std::collections::HashMap;

use futures_channel::mpsc::UnboundedReceiver;

use super::depth::Decides;
use super::draft::Drafting;
use super::facts::ModelFacts;
use super::lanes::Lanes;
use super::load::{Clock, Files, Progress};
use super::mailbox::Inbox;
use super::message::{Command, Failure, FailureKind, Stamped, Task, Tick, Update};
use super::meter::Meter;
use super::model::Model;
use super::prompt::Settings;
use crate::engine::event::Event;
use crate::engine::request::Request;
use crate::engine::{Engine, EngineOptions, Reported, SequenceId};
use crate::error::{Error, GpuError};
use crate::gpu::Gpu;
use crate::text::ChatTemplate;

/// What a service is started with.
pub struct Start {
    /// What the model is to be called.
    pub name: String,
    /// What the model's author wants to be said.
    pub note: Option<String>,
    /// The model.
    pub files: Files,
    /// Lanes, context and the like; with room for guesses as it comes.
    pub options: EngineOptions,
    /// What tells chat templates the date.
    pub clock: Option<Clock>,
}

impl Start {
    /// A model under a name, with 32 lanes, room for guesses and everything else as it comes. Nobody guesses until
    /// [`Command::Drafting`] asks for it.
    pub fn new(name: impl Into<String>, files: Files) -> Self {
        let options = EngineOptions { lanes: 32, guesses: Drafting::AUTO.room(), ..EngineOptions::default() };
        Self { name: name.into(), note: None, files, options, clock: None }
    }

    /// Loads the model.
    pub(super) async fn load(&self, gpu: Gpu, progress: &mut dyn FnMut(Progress)) -> Result<Model, Error> {
        self.files.read(self.clock).await?.load(gpu, self.options, progress).await
    }

    pub(super) fn facts(&self, model: &Model) -> ModelFacts {
        ModelFacts::of(model, &self.name, self.note.as_deref())
    }
}

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
    let mut send = |update| updates(Stamped { at: clock(), update });
    let mut inbox = Inbox::new(commands);
    send(Update::Loading(Progress::default()));
    let loading = async {
        let gpu = open().await?;
        start.load(gpu, &mut |progress| send(Update::Loading(progress))).await
    };
    match inbox.unless_cancelled(loading).await {
        Some(Ok(model)) => {
            send(Update::Ready(Box::new(start.facts(&model))));
            let mut server = Server::new(model, clock, &mut send);
            while let Err(error) = server.serve(&mut inbox).await {
                if !server.rebuild(error, &start, &mut open, &mut inbox).await {
                    return;
                }
            }
        }
        Some(Err(error)) => {
            let kind = if lost(&error) { FailureKind::Lost } else { FailureKind::Load };
            send(Update::Failed(Failure { kind, sequence: None, message: error.to_string() }));
        }
        None => send(Update::LoadingCancelled),
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
    pub lanes: Lanes,
    pub under_way: HashMap<SequenceId, Live>,
    pub decides: Decides,
    /// Who guesses, as it was asked for.
    pub drafting: Drafting,
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
    pub send: &'a mut dyn FnMut(Update),
}

impl<'a> Server<'a> {
    fn new(model: Model, clock: &'a dyn Fn() -> f64, send: &'a mut dyn FnMut(Update)) -> Self {
        let Model { engine, template, .. } = model;
        Self {
            lanes: Lanes::new(engine.lanes()),
            engine,
            template,
            under_way: HashMap::new(),
            decides: Decides::default(),
            drafting: Drafting::OFF,
            paused: false,
            paused_at: 0.0,
            steps: 0,
            meter: Meter::default(),
            done_before: [0; 4],
            losses: 0,
            clock,
            send,
        }
    }

    /// Until nobody is left to ask for anything and all is done, or the engine can go on no further.
    async fn serve(&mut self, inbox: &mut Inbox) -> Result<(), Error> {
        loop {
            while let Some(command) = inbox.try_next() {
                self.perform(command).await;
            }
            let at_rest = self.under_way.is_empty() && self.engine.is_idle();
            if at_rest && inbox.closed {
                return Ok(());
            }
            if at_rest || (self.paused && self.steps == 0) {
                // Nobody is left who could end a pause.
                let Some(command) = inbox.next().await else { return Ok(()) };
                self.perform(command).await;
                continue;
            }
            self.steps = self.steps.saturating_sub(1);
            let events = self.engine.tick().await?;
            self.losses = 0;
            self.ticked(events);
        }
    }

    async fn perform(&mut self, command: Command) {
        match command {
            Command::Submit { sequences, settings } => {
                let mut accepted = Vec::with_capacity(sequences.len());
                for (place, task) in (0..).zip(sequences) {
                    match self.submit(&task, &settings.at(place)) {
                        Ok(()) => accepted.push(task),
                        Err(message) => self.failed(FailureKind::Refused, Some(task.name), message),
                    }
                }
                (self.send)(Update::Submitted { sequences: accepted });
            }
            Command::Cancel { sequence } => {
                let found = self.under_way.iter().find(|(_, live)| live.name == sequence).map(|(id, _)| *id);
                // One that has ended meanwhile needs no end.
                if found.is_some_and(|id| self.engine.cancel(id)) {
                    self.tell_cancelled();
                }
            }
            Command::CancelAll => self.cancel_all(),
            Command::Gate { gate } => self.set_gate(gate).await,
            Command::Thresholds { thresholds } => self.set_thresholds(thresholds),
            Command::Rule { rule } => self.set_rule(rule),
            Command::Drafting { drafting } => self.set_drafting(drafting).await,
            Command::Pause { paused } => self.pause(paused),
            Command::Tick => self.steps += u32::from(self.paused),
        }
    }

    pub fn failed(&mut self, kind: FailureKind, sequence: Option<u64>, message: String) {
        (self.send)(Update::Failed(Failure { kind, sequence, message }));
    }

    fn pause(&mut self, paused: bool) {
        let now = (self.clock)();
        match (self.paused, paused) {
            (false, true) => self.paused_at = now,
            // The time that passed was nobody's.
            (true, false) => self.meter.began += now - self.paused_at,
            _ => {}
        }
        self.paused = paused;
        self.steps = 0;
        (self.send)(Update::Paused { paused });
    }

    fn submit(&mut self, task: &Task, settings: &Settings) -> Result<(), String> {
        if self.under_way.values().any(|live| live.name == task.name) {
            return Err(format!("a sequence of the name {} is under way; give every sequence its own", task.name));
        }
        let request = task.prompt.request(settings, self.engine.tokenizer(), self.template.as_ref());
        let request = request.map_err(|error| error.to_string())?;
        if self.under_way.is_empty() {
            self.meter = Meter::begin((self.clock)(), self.engine.guesses());
        }
        let id = self.engine.submit(request.clone()).map_err(|error| error.to_string())?;
        self.under_way.insert(id, Live { name: task.name, request, written: Vec::new() });
        Ok(())
    }

    /// Ends all sequences, and says so of each.
    pub fn cancel_all(&mut self) {
        let ids: Vec<SequenceId> = self.under_way.keys().copied().collect();
        for id in ids {
            self.engine.cancel(id);
        }
        self.tell_cancelled();
    }

    /// Tells of ends that need no tick.
    fn tell_cancelled(&mut self) {
        let events = self.engine.take_events();
        self.ticked(events);
    }

    fn ticked(&mut self, events: Vec<Reported>) {
        let now = (self.clock)();
        self.tell_events(events);
        let tick = self.view(now);
        (self.send)(Update::Tick(Box::new(tick)));
    }

    fn tell_events(&mut self, events: Vec<Reported>) {
        for Reported { sequence: id, lane, event } in events {
            let Some(live) = self.under_way.get_mut(&id) else { continue };
            let sequence = live.name;
            self.lanes.apply(sequence, lane, &event);
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
            (self.send)(Update::Sequence { sequence, contestant: None, event });
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
            guesses: self.meter.guesses(&self.engine.guesses()),
        }
    }
}
