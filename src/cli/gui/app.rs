//! The window around the panel: the worker, files that are dropped or chosen, what is kept between starts.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use eframe::egui::{self, Ui};
use isobath::gpu::SharedDevice;
use isobath::panel::{self, Action, Choice, Controls, FrameTimes, Panel};
use isobath::service::Command;

use super::worker::{Computes, Device, Worker};
use crate::cli::open::{self, Fetching, Place};
use crate::cli::session;

/// What a dialog was opened for.
enum Chosen {
    Model(PathBuf),
    Trace(PathBuf),
    Saved(PathBuf, String),
}

pub struct App {
    panel: Panel,
    worker: Option<Worker>,
    /// The thread's end has been told.
    end_shown: bool,
    place: Place,
    shared: SharedDevice,
    begin: Instant,
    dialog: Option<Receiver<Option<Chosen>>>,
    options: Options,
    times: FrameTimes,
}

/// What the command line says of the window.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Shaders are compiled with every check.
    pub checked_shaders: bool,
    /// Lanes, in place of those kept.
    pub lanes: Option<u32>,
    /// Nothing is taken over or kept.
    pub fresh: bool,
    /// A saved run to be shown.
    pub replay: Option<String>,
    /// Where this run is saved in the end.
    pub record: Option<PathBuf>,
}

impl App {
    pub fn new(
        context: &eframe::CreationContext<'_>,
        place: Place,
        shared: SharedDevice,
        options: Options,
        times: FrameTimes,
    ) -> anyhow::Result<Self> {
        panel::install(&context.egui_ctx);
        if options.fresh {
            context.egui_ctx.set_theme(egui::Theme::Dark);
        }
        let kept = context.storage.filter(|_| !options.fresh).and_then(|storage| storage.get_string("controls"));
        // What an older version kept may not fit any more.
        let mut controls: Controls = kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        if let Some(lanes) = options.lanes {
            controls.lanes = lanes;
        }
        let mut panel = Panel::new(controls);
        panel.adapters = session::adapters().into_iter().map(|adapter| adapter.name).collect();
        panel.choices = &[Choice::Folder, Choice::Gguf];
        if let Some(text) = &options.replay {
            panel.replay(text)?;
        }
        let begin = Instant::now();
        let mut app =
            Self { panel, worker: None, end_shown: false, place, shared, begin, dialog: None, options, times };
        app.load(&context.egui_ctx);
        Ok(app)
    }

    /// Loads the model, in place of the one before it.
    fn load(&mut self, context: &egui::Context) {
        self.worker = None;
        self.end_shown = false;
        let own = self.shared.summary();
        let other = self.panel.controls.adapter.clone().filter(|name| *name != own.name);
        let other = other.or_else(|| own.traits.window_apart().then(|| own.name.clone()));
        let device = other.map_or_else(|| Device::Shared(Box::new(self.shared.clone())), Device::Other);
        let place = self.place.clone();
        let lanes = self.panel.controls.lanes;
        let device = Computes { device, checked_shaders: self.options.checked_shaders };
        self.worker = Some(Worker::start(place, device, lanes, self.begin, context.clone()));
    }

    fn open_model(&mut self, path: PathBuf, context: &egui::Context) {
        match open::find(Some(&path), Fetching::default()) {
            Ok(place) => {
                self.place = place;
                self.load(context);
            }
            Err(error) => self.panel.show_message(error.to_string()),
        }
    }

    fn open_trace(&mut self, path: &PathBuf) {
        let read = fs::read_to_string(path).map_err(|error| format!("cannot read {path:?}: {error}"));
        if let Err(why) = read.and_then(|text| self.panel.replay(&text).map_err(|error| format!("{path:?}: {error}"))) {
            self.panel.show_message(why);
        }
    }

    /// What was dropped on the window: a model, or a saved run.
    fn dropped(&mut self, context: &egui::Context) {
        let files = context.input(|input| input.raw.dropped_files.clone());
        for path in files.into_iter().map(|file| file.path().to_owned()) {
            let is_trace = path.extension().is_some_and(|extension| extension == "jsonl");
            if is_trace { self.open_trace(&path) } else { self.open_model(path, context) }
        }
    }

    /// Asks for a file on a thread of its own.
    fn ask(&mut self, context: &egui::Context, ask: impl FnOnce() -> Option<Chosen> + Send + 'static) {
        let (sender, receiver) = mpsc::channel();
        let context = context.clone();
        self.dialog = Some(receiver);
        thread::spawn(move || {
            // A window that is gone no longer wants the answer.
            let _ = sender.send(ask());
            context.request_repaint();
        });
    }

    fn chosen(&mut self, context: &egui::Context) {
        let Some(Ok(answer)) = self.dialog.as_ref().map(Receiver::try_recv) else { return };
        self.dialog = None;
        match answer {
            None => {}
            Some(Chosen::Model(path)) => self.open_model(path, context),
            Some(Chosen::Trace(path)) => self.open_trace(&path),
            Some(Chosen::Saved(path, text)) => {
                if let Err(error) = fs::write(&path, text) {
                    self.panel.show_message(format!("cannot write {path:?}: {error}; choose another place"));
                }
            }
        }
    }

    fn perform(&mut self, action: Action, context: &egui::Context) {
        let dialog = || rfd::FileDialog::new();
        match action {
            Action::Command(command) => {
                let ends = command == Command::CancelAll;
                let taken = self.worker.as_ref().is_some_and(|worker| worker.send(command));
                if !taken && !ends {
                    self.panel.show_message("no model is loaded; load one first".into());
                }
            }
            Action::Reload => self.load(context),
            Action::Fetch(_) => {
                self.panel.show_message("only the page in a browser fetches models; choose one that is here".into())
            }
            Action::Choose(Choice::Folder) => {
                let dialog = dialog().set_title("The folder of a model");
                self.ask(context, move || dialog.pick_folder().map(Chosen::Model));
            }
            Action::Choose(Choice::Gguf | Choice::Files) => {
                let dialog = dialog().set_title("A .gguf file").add_filter("GGUF models", &["gguf"]);
                self.ask(context, move || dialog.pick_file().map(Chosen::Model));
            }
            Action::OpenTrace => {
                let dialog = dialog().set_title("A saved run").add_filter("saved runs", &["jsonl"]);
                self.ask(context, move || dialog.pick_file().map(Chosen::Trace));
            }
            Action::SaveTrace(text) => {
                let dialog = dialog().set_title("Save this run").set_file_name("run.jsonl");
                self.ask(context, move || dialog.save_file().map(|path| Chosen::Saved(path, text)));
            }
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, context: &egui::Context, frame: &mut eframe::Frame) {
        if let Some(seconds) = frame.info().cpu_usage.filter(|_| self.panel.is_busy()) {
            self.times.add(1e3 * seconds);
        }
        let gone = self.worker.as_ref().is_some_and(Worker::is_gone);
        for stamped in self.worker.as_ref().map(Worker::take).unwrap_or_default() {
            self.end_shown |= matches!(&stamped.update, isobath::service::Update::LoadingCancelled)
                || matches!(&stamped.update, isobath::service::Update::Failed(failure) if failure.kind.is_final());
            self.panel.apply(&stamped);
        }
        for action in self.panel.asked() {
            self.perform(action, context);
        }
        if gone && !std::mem::replace(&mut self.end_shown, true) {
            self.panel.fail("the engine's thread ended by itself; the terminal says why. Load the model again".into());
        }
        self.dropped(context);
        self.chosen(context);
        self.panel.status = self.times.line();
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let context = ui.ctx().clone();
        let quit = egui::KeyboardShortcut::new(egui::Modifiers::COMMAND, egui::Key::Q);
        if context.input_mut(|input| input.consume_shortcut(&quit)) {
            context.send_viewport_cmd(egui::ViewportCommand::Close);
        }
        for action in self.panel.ui(ui) {
            self.perform(action, &context);
        }
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        if let Some(text) = serde_json::to_string(&self.panel.controls).ok().filter(|_| !self.options.fresh) {
            storage.set_string("controls", text);
        }
    }

    fn on_exit(&mut self) {
        let Some(path) = &self.options.record else { return };
        let written = self.panel.recording().map(|text| fs::write(path, text));
        match written {
            Some(Ok(())) => {}
            Some(Err(error)) => log::error!("cannot write the run to {path:?}: {error}"),
            None => log::error!("nothing is written to {path:?}: no model was loaded"),
        }
    }

    fn persist_egui_memory(&self) -> bool {
        !self.options.fresh
    }
}
