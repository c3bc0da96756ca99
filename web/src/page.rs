//! What the page holds: the panel, the model in use, and what happens between them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use eframe::egui;
use isobath::panel::{Action, Choice, Controls, FrameTimes, Panel};
use isobath::service::{Command, Progress, Stamped, Update};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen_futures::spawn_local;

use crate::file::Picked;
use crate::place::{BUNDLED, Place};
use crate::session::Session;
use crate::{browser, canvas, notice};

/// The page draws again this soon after something was told.
const SOON: Duration = Duration::from_millis(16);

/// The page.
pub struct Page {
    panel: RefCell<Panel>,
    session: RefCell<Session>,
    place: RefCell<Place>,
    /// Where frames are asked for, once there is a canvas.
    context: RefCell<Option<egui::Context>>,
    times: FrameTimes,
    /// The engine stands still only because nobody looks.
    paused_unseen: Cell<bool>,
    /// It is known whether this browser can run the engine.
    decided: Cell<bool>,
}

impl Page {
    /// A page that shows nothing yet.
    pub fn new() -> Rc<Self> {
        // What an older version kept may not fit any more.
        let kept = browser::kept("controls").and_then(|text| serde_json::from_str::<Controls>(&text).ok());
        let narrow =
            web_sys::window().and_then(|window| window.inner_width().ok()?.as_f64()).is_some_and(|w| w < 600.0);
        // A phone has no room for what is seldom needed.
        let controls = kept.unwrap_or_else(|| Controls { open: !narrow, ..Controls::default() });
        let mut panel = Panel::new(controls);
        panel.choices = &[Choice::Files];
        panel.can_fetch = true;
        Rc::new(Self {
            panel: RefCell::new(panel),
            session: RefCell::new(Session::none()),
            place: RefCell::new(Place::Address(BUNDLED.to_owned())),
            context: RefCell::default(),
            times: FrameTimes::default(),
            paused_unseen: Cell::new(false),
            decided: Cell::new(false),
        })
    }

    /// Loads the bundled model and shows the panel; where this browser cannot, says what to do.
    pub async fn open(self: Rc<Self>) {
        let lacking = browser::lacks().await;
        self.decided.set(true);
        if let Some(advice) = lacking {
            return notice::show(&advice);
        }
        self.listen();
        let place = self.place.borrow().clone();
        self.load(place);
        self.seen(!browser::hidden());
        canvas::run(self).await;
    }

    /// Waits until there is a model on its way, or can be none.
    pub async fn decided(&self) {
        while !self.decided.get() {
            browser::sleep(10).await;
        }
    }

    /// Listens to what happens to the page as a whole.
    fn listen(self: &Rc<Self>) {
        let page = self.clone();
        let changed = Closure::<dyn Fn(bool)>::new(move |hidden: bool| page.seen(!hidden));
        browser::watch_visibility(changed.as_ref());
        let page = self.clone();
        let dropped = Closure::<dyn Fn(JsValue, String)>::new(move |files: JsValue, why: String| {
            if why.is_empty() {
                page.open_files(Picked::list(&files));
            } else {
                page.show_message(format!("what was dropped cannot be read: {why}"));
            }
        });
        browser::watch_drops(dropped.as_ref());
        // The page is there as long as its listeners.
        changed.forget();
        dropped.forget();
    }

    /// Loads a model, in place of the one before it.
    pub fn load(self: &Rc<Self>, place: Place) {
        self.place.replace(place.clone());
        self.paused_unseen.set(false);
        let lanes = self.panel.borrow().controls.lanes;
        let old = self.session.borrow().clone();
        let page = self.clone();
        let session = Session::begin(place, lanes, old, move |stamped| page.hear(stamped));
        self.session.replace(session);
    }

    /// The model in use, or on its way.
    pub fn session(&self) -> Session {
        self.session.borrow().clone()
    }

    /// How long frames took while text was written.
    pub fn frame_times(&self) -> String {
        self.times.report()
    }

    /// Takes over a canvas that has just begun.
    pub fn drawn_by(&self, context: &egui::Context) {
        self.context.replace(Some(context.clone()));
    }

    /// A frame begins; the last one took so many seconds.
    pub fn frame(&self, seconds: Option<f32>) {
        let mut panel = self.panel.borrow_mut();
        if let Some(seconds) = seconds.filter(|_| panel.is_busy()) {
            self.times.add(1e3 * seconds);
        }
        panel.status = self.times.line();
    }

    /// Draws the panel and does what it asks for.
    pub fn ui(self: &Rc<Self>, ui: &mut egui::Ui) {
        let actions = self.panel.borrow_mut().ui(ui);
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(self: &Rc<Self>, action: Action) {
        match action {
            Action::Command(command) => {
                let ends = command == Command::CancelAll;
                if !self.session.borrow().send(command) && !ends {
                    self.show_message("no model is loaded; load one first".into());
                }
            }
            Action::Reload => {
                let place = self.place.borrow().clone();
                self.load(place);
            }
            Action::Choose(_) | Action::OpenTrace => self.choose(),
            Action::Fetch(address) => self.load(Place::Address(address)),
            Action::SaveTrace(text) => browser::save("run.jsonl", &text),
        }
    }

    /// Lets the person choose files, and opens them.
    pub fn choose(self: &Rc<Self>) {
        let page = self.clone();
        spawn_local(async move { page.open_files(Picked::list(&browser::pick().await)) });
    }

    /// Opens what was chosen or dropped: a saved run, or a model.
    fn open_files(self: &Rc<Self>, files: Vec<Picked>) {
        let run = files.iter().find(|file| file.name.ends_with(".jsonl")).cloned();
        match run {
            Some(run) => {
                let page = self.clone();
                spawn_local(async move { page.replay(&run).await });
            }
            None if files.is_empty() => {}
            None => self.load(Place::Files(files)),
        }
    }

    async fn replay(&self, run: &Picked) {
        let played = match run.text().await {
            Ok(text) => self.panel.borrow_mut().replay(&text).map_err(|error| format!("{}: {error}", run.name)),
            Err(why) => Err(why),
        };
        match played {
            Ok(()) => self.draw_soon(),
            Err(why) => self.show_message(why),
        }
    }

    /// A message of the page itself.
    fn show_message(&self, message: String) {
        notice::say(&message);
        self.panel.borrow_mut().show_message(message);
        self.draw_soon();
    }

    fn hear(self: &Rc<Self>, stamped: &Stamped) {
        match &stamped.update {
            Update::Ready(facts) => {
                let warnings: String = facts.warnings.iter().map(|warning| format!(" {warning}.")).collect();
                notice::say(&format!("{} is loaded.{warnings}", facts.name));
            }
            Update::Failed(failure) => notice::say(&failure.message),
            Update::Rebuilding { why, progress } if *progress == Progress::default() => {
                notice::say(&format!("{why}. The model is loaded again."))
            }
            Update::Rebuilt(_) => notice::say("Writing goes on."),
            _ => {}
        }
        self.panel.borrow_mut().apply(stamped);
        let asked = self.panel.borrow_mut().asked();
        for action in asked {
            self.perform(action);
        }
        self.draw_soon();
    }

    fn draw_soon(&self) {
        if let Some(context) = &*self.context.borrow() {
            context.request_repaint_after(SOON);
        }
    }

    /// The page is seen by somebody, or by nobody any more: then the engine rests.
    fn seen(&self, seen: bool) {
        let session = self.session.borrow();
        let paused = self.panel.borrow().is_paused();
        if seen && self.paused_unseen.replace(false) {
            session.send(Command::Pause { paused: false });
        } else if !seen && !paused && !self.paused_unseen.replace(true) {
            session.send(Command::Pause { paused: true });
        }
        if let Some(text) = serde_json::to_string(&self.panel.borrow().controls).ok().filter(|_| !seen) {
            browser::keep("controls", &text);
        }
    }
}
