//! The engine's thread: the service at work, its updates kept until the window draws.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use eframe::egui::Context;
use futures_channel::mpsc::{UnboundedSender, unbounded};
use isobath::disk;
use isobath::engine::EngineOptions;
use isobath::error::ModelError;
use isobath::gpu::{Gpu, SharedDevice};
use isobath::panel;
use isobath::service::{self, Command, Failure, FailureKind, Progress, Stamped, Start, Update};
use pollster::block_on;

use crate::cli::clock;
use crate::cli::compiled::{self, Compiled};
use crate::cli::open::Place;

/// The window is drawn again this soon after an update came.
const SOON: Duration = Duration::from_millis(16);
/// Ticks that are kept for a window that does not draw; of more, the latest.
const MOST_WAITING: usize = 100_000;

/// Where the engine computes.
pub enum Device {
    /// Where the window draws.
    Shared(Box<SharedDevice>),
    /// On another adapter, by its name.
    Other(String),
}

/// On what the engine computes, and how its shaders are compiled.
pub struct Computes {
    pub device: Device,
    pub checked_shaders: bool,
}

/// A service on its thread. Dropping it ends the service.
pub struct Worker {
    commands: Option<UnboundedSender<Command>>,
    updates: Arc<Mutex<Vec<Stamped>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts to load a model; `begin` is when the window's time began.
    pub fn start(place: Place, computes: Computes, lanes: u32, begin: Instant, context: Context) -> Self {
        let (commands, received) = unbounded();
        let updates: Arc<Mutex<Vec<Stamped>>> = Arc::default();
        let inbox = updates.clone();
        let thread = thread::spawn(move || {
            let seconds = || begin.elapsed().as_secs_f64();
            let kernels: RefCell<Option<Compiled>> = RefCell::default();
            let mut send = |stamped: Stamped| {
                if matches!(stamped.update, Update::Ready(_) | Update::Rebuilt(_)) {
                    kernels.take().iter().for_each(Compiled::keep);
                }
                let mut updates = inbox.lock().unwrap_or_else(PoisonError::into_inner);
                if updates.len() >= MOST_WAITING {
                    // Pictures of ticks that nobody saw can be done without, texts cannot.
                    updates.retain(|stamped| !matches!(stamped.update, Update::Tick(_)));
                }
                updates.push(stamped);
                drop(updates);
                context.request_repaint_after(SOON);
            };
            send(Stamped { at: seconds(), update: Update::Loading(Progress::default()) });
            let start = match read(&place, lanes) {
                Ok(start) => start,
                Err(error) => {
                    let failure = Failure { kind: FailureKind::Load, sequence: None, message: error.to_string() };
                    return send(Stamped { at: seconds(), update: Update::Failed(failure) });
                }
            };
            let Computes { device, checked_shaders } = computes;
            let (mut shared, name) = match device {
                Device::Shared(shared) => (Some(shared.clone()), shared.summary().name.clone()),
                Device::Other(name) => (None, name),
            };
            // The window's device is good for one time: where it is lost the engine gets one of its own.
            let open = async || {
                let gpu = match shared.take() {
                    Some(shared) => Gpu::on(*shared),
                    None => Gpu::open(Some(&name)).await?,
                };
                let gpu = if checked_shaders { gpu.checked() } else { gpu };
                let (gpu, compiled) = compiled::restored(gpu.with_clock(disk::nanoseconds()));
                kernels.replace(compiled);
                Ok(gpu)
            };
            block_on(service::run(start, open, received, &seconds, &mut send));
        });
        Self { commands: Some(commands), updates, thread: Some(thread) }
    }

    /// Sends a command; `false` where nobody takes it any more.
    pub fn send(&self, command: Command) -> bool {
        self.commands.as_ref().is_some_and(|commands| commands.unbounded_send(command).is_ok())
    }

    /// Updates since the last call.
    pub fn take(&self) -> Vec<Stamped> {
        std::mem::take(&mut self.updates.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the thread is gone, for whatever reason.
    pub fn is_gone(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nothing is written for nobody; the model's memory is free before the next one needs it.
        self.send(Command::Pause { paused: false });
        self.send(Command::CancelAll);
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by the thread itself.
            let _ = thread.join();
        }
    }
}

fn read(place: &Place, lanes: u32) -> Result<Start, ModelError> {
    let path = place.path();
    let name = path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned());
    let mut start = Start { note: place.note(), clock: Some(clock::local_time), ..Start::new(name, place.files()?) };
    start.options = EngineOptions { lanes, alternatives: panel::ALTERNATIVES, ..start.options };
    Ok(start)
}
