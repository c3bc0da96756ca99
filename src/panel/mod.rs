//! The panel: text in the colours of depth, lanes and buckets of each tick, throughput against the ceiling.
//!
//! It is fed with updates of the [`crate::service`] and hands back [`Action`]s; who draws it, and where the engine
//! lives, is another's business, so the desktop window and the page share it.
//!
//! **Invariant:** egui only: no window, no GPU, no thread, no file.

mod chat;
mod controls;
mod depth_map;
mod drafting;
mod frame_times;
mod guesses;
mod header;
mod heats;
mod lanes;
mod look;
mod others;
mod rates;
mod replay;
mod sampling;
mod send;
mod throughput;
mod token;
mod view;

use egui::{CentralPanel, Frame, Margin, ScrollArea, Ui};

use crate::race::Race;
use crate::service::{Command, Contestant, Failure, FailureKind, Stamped, Update, trace};

pub use controls::Controls;
pub use frame_times::FrameTimes;
pub use look::install;
use replay::{Recording, Replay};
use view::{Key, View};

/// Tokens that are shown as what might have stood in the place of one.
pub const ALTERNATIVES: u32 = 4;

/// What the panel asks of whoever shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send this to the engine.
    Command(Command),
    /// Load the model again, with the lanes and the adapter of the controls.
    Reload,
    /// Load the model at this address.
    Fetch(String),
    /// Let the person choose a model.
    Choose(Choice),
    /// Let the person choose a saved run, and give its text to [`Panel::replay`].
    OpenTrace,
    /// Save this run where the person wants it.
    SaveTrace(String),
}

/// How a person can choose a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// A folder with config.json and so on.
    Folder,
    /// A .gguf file.
    Gguf,
    /// All files of a model at once.
    Files,
}

impl Choice {
    fn label(self) -> &'static str {
        match self {
            Self::Folder => "Choose a folder",
            Self::Gguf => "Choose a .gguf",
            Self::Files => "Choose a model's files",
        }
    }
}

/// What the pointer and the keyboard touch, shared by all pictures.
#[derive(Debug, Clone, Default)]
struct Touch {
    /// The sequence that is shown in full.
    focus: Option<u64>,
    /// Token under the pointer: of which sequence, which one of those that are kept.
    hovered: Option<(Key, usize)>,
    /// Token that was tapped.
    pinned: Option<(Key, usize)>,
    actions: Vec<Action>,
}

impl Touch {
    fn command(&mut self, command: Command) {
        self.actions.push(Action::Command(command));
    }
}

/// All that the panel remembers.
#[derive(Debug, Clone)]
pub struct Panel {
    live: View,
    recording: Recording,
    replay: Option<Replay>,
    race: Option<Race>,
    touch: Touch,
    prompt: String,
    next_name: u64,
    /// What the person set; worth keeping between starts.
    pub controls: Controls,
    /// Names of adapters to choose from; empty where there is no choice.
    pub adapters: Vec<String>,
    /// How models are chosen; where there is no way, saved runs cannot be opened either.
    pub choices: &'static [Choice],
    /// Models can be fetched from an address.
    pub can_fetch: bool,
    /// The address of a model.
    address: String,
    /// A line of whoever shows the panel.
    pub status: String,
}

impl Panel {
    /// A panel without a model.
    pub fn new(controls: Controls) -> Self {
        Self {
            live: View::default(),
            recording: Recording::default(),
            replay: None,
            race: None,
            touch: Touch::default(),
            prompt: String::new(),
            next_name: 1,
            controls,
            adapters: Vec::new(),
            choices: &[],
            can_fetch: false,
            address: String::new(),
            status: String::new(),
        }
    }

    /// Takes in an update. What is to be done then, [`Panel::asked`] tells.
    pub fn apply(&mut self, stamped: &Stamped) {
        // Another model knows nothing of it.
        let ends = matches!(stamped.update, Update::Loading(_));
        match self.race.take().filter(|race| !ends && !race.is_over()) {
            None => self.show(stamped),
            Some(mut race) => {
                let turn = race.apply(stamped);
                self.race = Some(race);
                self.follow(turn);
            }
        }
    }

    /// What is to be done before the next frame: a race goes on without one.
    pub fn asked(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.touch.actions)
    }

    fn show(&mut self, stamped: &Stamped) {
        self.recording.add(stamped);
        self.live.apply(stamped);
        let ready = matches!(stamped.update, Update::Ready(_));
        if let Some(facts) = self.live.facts.as_ref().filter(|_| ready) {
            self.controls.suit(facts);
            if let Some(drafting) = drafting::fitting(&self.controls.drafting, facts) {
                self.touch.command(Command::Drafting { drafting });
            }
        }
        if let (Update::Drafting { drafting, .. }, None) = (&stamped.update, &self.race) {
            self.controls.drafting.clone_from(drafting);
        }
    }

    /// Shows a message of whoever shows the panel.
    pub fn show_message(&mut self, message: String) {
        self.failed(FailureKind::Refused, message);
    }

    /// Shows that the service ended without a word.
    pub fn fail(&mut self, message: String) {
        self.failed(FailureKind::Gpu, message);
    }

    fn failed(&mut self, kind: FailureKind, message: String) {
        let update = Update::Failed(Failure { kind, sequence: None, message });
        self.live.apply(&Stamped { at: self.live.now, update });
    }

    /// Plays a saved run.
    ///
    /// # Errors
    /// A text that is none.
    pub fn replay(&mut self, text: &str) -> Result<(), trace::TraceError> {
        self.replay = Some(Replay::new(trace::read(text)?));
        self.touch.hovered = None;
        self.touch.pinned = None;
        self.touch.focus = None;
        Ok(())
    }

    /// Shows a saved run as it stood at a time, in seconds from its beginning.
    pub fn show_at(&mut self, seconds: f64) {
        if let Some(replay) = &mut self.replay {
            replay.playing = false;
            replay.seek(seconds);
        }
    }

    /// What the prompt box holds.
    pub fn set_prompt(&mut self, prompt: impl Into<String>) {
        self.prompt = prompt.into();
    }

    /// What has happened since the model was loaded, to be saved; `None` before that.
    pub fn recording(&self) -> Option<String> {
        self.recording.save()
    }

    /// Whether the engine stands between two ticks.
    pub fn is_paused(&self) -> bool {
        self.live.paused
    }

    /// Whether anything is under way.
    pub fn is_busy(&self) -> bool {
        self.live.is_busy()
    }

    /// Draws everything into `ui`; what is to be done.
    pub fn ui(&mut self, ui: &mut Ui) -> Vec<Action> {
        self.play(ui);
        let width = ui.available_width();
        // What was hovered in the last frame is marked in all pictures of this one.
        let hovered = self.touch.hovered;
        let margin = |x: i8, y: i8| Frame::new().inner_margin(Margin::symmetric(x, y));
        let fill = ui.visuals().panel_fill;
        let side = if width < 600.0 { 12 } else { 20 };
        egui::Panel::top("header").frame(margin(side, 10).fill(fill)).resizable(false).show(ui, |ui| self.header(ui));
        if width < 860.0 {
            egui::Panel::bottom("prompt").frame(margin(side, 10).fill(fill)).resizable(false).show(ui, |ui| {
                self.prompt_box(ui);
            });
            CentralPanel::no_frame().frame(margin(side, 10).fill(fill)).show(ui, |ui| {
                ScrollArea::vertical().auto_shrink([false; 2]).show(ui, |ui| self.stack(ui));
            });
        } else {
            self.wide(ui, width, side);
        }
        if self.touch.hovered == hovered {
            // Nothing renewed it: the pointer is elsewhere.
            let seen = ui.input(|input| input.pointer.hover_pos().is_some());
            self.touch.hovered = self.touch.hovered.filter(|_| seen);
        }
        if ui.input(|input| input.key_pressed(egui::Key::Escape)) {
            match self.touch.pinned.take() {
                Some(_) => {}
                None if self.live.is_busy() => self.touch.command(Command::CancelAll),
                None => {}
            }
        }
        let actions = self.asked();
        if let Some(race) = self.race.as_mut().filter(|_| actions.contains(&Action::Command(Command::CancelAll))) {
            race.stop();
        }
        actions
    }

    fn wide(&mut self, ui: &mut Ui, width: f32, side: i8) {
        let fill = ui.visuals().panel_fill;
        let margin = |x: i8, y: i8| Frame::new().inner_margin(Margin::symmetric(x, y)).fill(fill);
        egui::Panel::bottom("status").frame(margin(side, 5)).resizable(false).show(ui, |ui| self.status_line(ui));
        if self.controls.open && width >= 1180.0 {
            egui::Panel::left("settings").frame(margin(side, 16)).resizable(false).exact_size(252.0).show(ui, |ui| {
                ScrollArea::vertical().auto_shrink([false; 2]).show(ui, |ui| self.settings(ui));
            });
        }
        let pictures = (width * 0.40).clamp(380.0, 860.0);
        egui::Panel::right("pictures").frame(margin(side, 16)).resizable(false).exact_size(pictures).show(ui, |ui| {
            ScrollArea::vertical().auto_shrink([false; 2]).show(ui, |ui| {
                self.pictures(ui);
                if self.controls.open && width < 1180.0 {
                    ui.add_space(24.0);
                    self.settings(ui);
                }
            });
        });
        egui::Panel::bottom("prompt")
            .frame(margin(side, 16))
            .resizable(false)
            .show_separator_line(false)
            .show(ui, |ui| centred(ui, |ui| self.prompt_box(ui)));
        CentralPanel::no_frame().frame(margin(side, 16)).show(ui, |ui| {
            ScrollArea::vertical().id_salt("text").auto_shrink([false; 2]).stick_to_bottom(true).show(ui, |ui| {
                centred(ui, |ui| self.text(ui));
            });
        });
    }

    /// Everything one below the other, for narrow screens.
    fn stack(&mut self, ui: &mut Ui) {
        self.text(ui);
        ui.add_space(20.0);
        self.pictures(ui);
        if self.controls.open {
            ui.add_space(20.0);
            self.settings(ui);
        }
        ui.add_space(12.0);
        self.status_line(ui);
    }

    fn text(&mut self, ui: &mut Ui) {
        let Self { live, replay, touch, prompt, .. } = self;
        let view = replay.as_ref().map_or(&*live, |replay| &replay.view);
        chat::text(ui, view, touch, prompt);
    }

    fn pictures(&mut self, ui: &mut Ui) {
        let Self { live, replay, touch, .. } = self;
        let view = replay.as_ref().map_or(&*live, |replay| &replay.view);
        throughput::draw(ui, view);
        ui.add_space(16.0);
        lanes::buckets(ui, view, touch);
        ui.add_space(16.0);
        lanes::history(ui, view, touch);
        ui.add_space(16.0);
        depth_map::map(ui, view, touch);
        ui.add_space(16.0);
        depth_map::histogram(ui, view);
    }

    fn settings(&mut self, ui: &mut Ui) {
        let Self { live, touch, controls, adapters, choices, can_fetch, address, .. } = self;
        let can_open = !choices.is_empty();
        controls.ui(ui, live, touch, adapters, choices, can_fetch.then_some(address));
        look::title(ui, "Run", "");
        ui.horizontal_wrapped(|ui| {
            if can_open && ui.button("Open a saved run").clicked() {
                self.touch.actions.push(Action::OpenTrace);
            }
            let saved = can_open && ui.button("Save this run").clicked();
            if let Some(text) = saved.then(|| self.recording.save()).flatten() {
                self.touch.actions.push(Action::SaveTrace(text));
            }
            if ui.button("Forget it").on_hover_text("Clears the texts and counts that are shown").clicked() {
                self.live.clear();
                self.touch.pinned = None;
            }
        });
    }
}

/// A column of comfortable reading width in the middle.
fn centred<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let width = ui.available_width().min(760.0);
    let before = (ui.available_width() - width) / 2.0;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        ui.add_space(before);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.x = look::UNIT;
            ui.set_width(width);
            contents(ui)
        })
        .inner
    })
    .inner
}

/// A contestant as people call it.
fn called(contestant: Contestant) -> &'static str {
    match contestant {
        Contestant::Adaptive => "adaptive",
        Contestant::Full => "full depth",
        Contestant::Guessing => "with guesses",
        Contestant::Plain => "without",
    }
}
