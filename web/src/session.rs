//! A model in use: the engine's task, and what it has told so far.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_channel::{mpsc, oneshot};
use isobath::engine::event::{Event, TokenEvent};
use isobath::gpu::Gpu;
use isobath::service::{self, Command, Failure, ModelFacts, Stamped, Start, Tick, Update};

/// What became of a sequence.
#[derive(Default, serde::Serialize)]
pub struct Sequence {
    /// Tokens written so far.
    pub tokens: Vec<TokenEvent>,
    /// Their text, with what was released at the end.
    pub text: String,
    /// Why it ended, once it has.
    pub reason: Option<isobath::engine::event::FinishReason>,
}

/// What the engine has told.
#[derive(Default)]
pub struct Told {
    /// Bytes of the model done and in total.
    pub loading: (u64, u64),
    /// The model, once it is there.
    pub ready: Option<ModelFacts>,
    /// What ended the service.
    pub failure: Option<Failure>,
    /// Sequences by name.
    pub sequences: HashMap<u64, Sequence>,
    /// Commands that could not be followed, by the sequence they were about.
    pub refused: HashMap<u64, String>,
    /// The last tick.
    pub tick: Option<Tick>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// A model in use.
#[derive(Clone)]
pub struct Session {
    commands: mpsc::UnboundedSender<Command>,
    told: Rc<RefCell<Told>>,
    host_microseconds: Rc<Cell<f64>>,
}

impl Session {
    /// Begins to load a model; the engine is a task of the page from now on.
    pub fn begin(start: Start) -> Self {
        let (commands, received) = mpsc::unbounded();
        let session = Self { commands, told: Rc::default(), host_microseconds: Rc::default() };
        let told = session.told.clone();
        let task = async move {
            let mut tell = |stamped: Stamped| hear(&told, stamped.update);
            service::run(start, Gpu::open(None), received, &seconds, &mut tell).await;
        };
        let host = session.host_microseconds.clone();
        wasm_bindgen_futures::spawn_local(Timed { task: Box::pin(task), microseconds: host });
        session
    }

    /// Asks something of the engine; a service that has ended no longer listens.
    pub fn send(&self, command: Command) {
        // Why nobody listens was told as a failure.
        let _ = self.commands.unbounded_send(command);
    }

    /// What was told so far.
    pub fn look<T>(&self, look: impl FnOnce(&Told) -> T) -> T {
        look(&self.told.borrow())
    }

    /// Waits until `look` finds what it looks for.
    pub async fn until<T>(&self, mut look: impl FnMut(&mut Told) -> Option<T>) -> T {
        loop {
            let heard = {
                let mut told = self.told.borrow_mut();
                if let Some(found) = look(&mut told) {
                    return found;
                }
                let (sender, heard) = oneshot::channel();
                told.waiting.push(sender);
                heard
            };
            // A sender that is gone was dropped with all others: look again.
            let _ = heard.await;
        }
    }

    /// Time that the engine kept the page from other work.
    pub fn host_microseconds(&self) -> f64 {
        self.host_microseconds.get()
    }
}

fn hear(told: &RefCell<Told>, update: Update) {
    let mut told = told.borrow_mut();
    match update {
        Update::Loading { done, total } => told.loading = (done, total),
        Update::Ready(facts) => told.ready = Some(*facts),
        Update::Sequence { sequence, event, .. } => {
            let sequence = told.sequences.entry(sequence).or_default();
            match event {
                Event::Prefill { .. } => {}
                Event::Token(token) => {
                    sequence.text += &token.text;
                    sequence.tokens.push(token);
                }
                Event::Finished { reason, text, .. } => {
                    sequence.text += &text;
                    sequence.reason = Some(reason);
                }
            }
        }
        Update::Tick(tick) => told.tick = Some(*tick),
        Update::Failed(failure) => match (failure.kind.is_final(), failure.sequence) {
            (false, Some(sequence)) => drop(told.refused.insert(sequence, failure.message)),
            _ => told.failure = Some(failure),
        },
        _ => {}
    }
    for waiting in told.waiting.drain(..) {
        // Whoever no longer waits needs no word.
        let _ = waiting.send(());
    }
}

/// The page's clock.
pub fn seconds() -> f64 {
    web_sys::window().and_then(|window| window.performance()).map_or(0.0, |clock| clock.now() / 1000.0)
}

/// A task whose share of the page's time is added up.
struct Timed {
    task: Pin<Box<dyn Future<Output = ()>>>,
    microseconds: Rc<Cell<f64>>,
}

impl Future for Timed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let begin = seconds();
        let state = self.task.as_mut().poll(context);
        self.microseconds.set(self.microseconds.get() + (seconds() - begin) * 1e6);
        state
    }
}
