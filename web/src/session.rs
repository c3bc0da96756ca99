//! A model in use: the engine's task, and what is known of it so far.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_channel::{mpsc, oneshot};
use isobath::engine::event::{Event, TokenEvent};
use isobath::error::GpuError;
use isobath::gpu::Gpu;
use isobath::service::{self, Command, Failure, FailureKind, ModelFacts, Progress, Stamped, Tick, Update};

use crate::browser::{self, seconds};
use crate::place::Place;

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

/// What is known of the engine.
#[derive(Default)]
pub struct Known {
    /// How far the loading of the model is.
    pub loading: Progress,
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
    /// The service is over.
    ended: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Known {
    /// The service is over, for whatever reason.
    pub fn ended(&self) -> bool {
        self.ended
    }

    fn wake(&mut self) {
        for waiting in self.waiting.drain(..) {
            // Whoever no longer waits needs no word.
            let _ = waiting.send(());
        }
    }
}

/// A model in use.
#[derive(Clone)]
pub struct Session {
    commands: mpsc::UnboundedSender<Command>,
    known: Rc<RefCell<Known>>,
    host_microseconds: Rc<Cell<f64>>,
    /// Breaks off the opening of files, before the service listens.
    broken_off: Rc<RefCell<Option<oneshot::Sender<()>>>>,
}

impl Session {
    /// No model: nobody listens.
    pub fn none() -> Self {
        let known = Rc::new(RefCell::new(Known { ended: true, ..Known::default() }));
        Self { commands: mpsc::unbounded().0, known, host_microseconds: Rc::default(), broken_off: Rc::default() }
    }

    /// Begins to load a model once the old one is gone, so that both need not fit at once; the engine is a task of the
    /// page from now on.
    pub fn begin(place: Place, lanes: u32, old: Self, hear: impl Fn(&Stamped) + 'static) -> Self {
        let (commands, received) = mpsc::unbounded();
        let (breaking, broken_off) = oneshot::channel();
        let session = Self {
            commands,
            known: Rc::default(),
            host_microseconds: Rc::default(),
            broken_off: Rc::new(RefCell::new(Some(breaking))),
        };
        let known = session.known.clone();
        let task = async move {
            old.end().await;
            let inner = known.clone();
            let send = Rc::new(move |update: Update| {
                let stamped = Stamped { at: seconds(), update };
                hear(&stamped);
                take_in(&inner, stamped.update);
            });
            send(Update::Loading(Progress::default()));
            let (loading, inner) = (send.clone(), known.clone());
            let progress = Rc::new(move |done, total| {
                // After a loss the service tells of it in words of its own.
                if inner.borrow().ready.is_none() {
                    loading(Update::Loading(Progress::weights(done, total)));
                }
            });
            match unless(broken_off, place.open(lanes, progress)).await {
                Some(Ok(start)) => {
                    service::run(start, open, received, &seconds, &mut |stamped| send(stamped.update)).await;
                }
                Some(Err(message)) => {
                    send(Update::Failed(Failure { kind: FailureKind::Load, sequence: None, message }))
                }
                None => send(Update::LoadingCancelled),
            }
            let mut known = known.borrow_mut();
            known.ended = true;
            known.wake();
        };
        let host = session.host_microseconds.clone();
        wasm_bindgen_futures::spawn_local(Timed { task: Box::pin(task), microseconds: host });
        session
    }

    /// Ends the service and waits until its memory is free.
    async fn end(self) {
        self.send(Command::Pause { paused: false });
        self.send(Command::CancelAll);
        self.commands.close_channel();
        self.until(|known| known.ended.then_some(())).await;
    }

    /// Asks something of the engine; `false` where nobody listens any more.
    pub fn send(&self, command: Command) -> bool {
        if command == Command::CancelAll
            && let Some(breaking) = self.broken_off.take()
        {
            // Where the files are open nobody listens here any more, but the service does.
            let _ = breaking.send(());
        }
        self.commands.unbounded_send(command).is_ok()
    }

    /// What is known so far.
    pub fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.borrow())
    }

    /// Waits until `look` finds what it looks for.
    pub async fn until<T>(&self, mut look: impl FnMut(&mut Known) -> Option<T>) -> T {
        loop {
            let heard = {
                let mut known = self.known.borrow_mut();
                if let Some(found) = look(&mut known) {
                    return found;
                }
                let (sender, heard) = oneshot::channel();
                known.waiting.push(sender);
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

fn take_in(known: &RefCell<Known>, update: Update) {
    let mut known = known.borrow_mut();
    match update {
        Update::Loading(progress) => known.loading = progress,
        Update::Ready(facts) => known.ready = Some(*facts),
        Update::Sequence { sequence, event, .. } => {
            let sequence = known.sequences.entry(sequence).or_default();
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
        Update::Tick(tick) => known.tick = Some(*tick),
        Update::Failed(failure) => match (failure.kind.is_final(), failure.sequence) {
            (false, Some(sequence)) => drop(known.refused.insert(sequence, failure.message)),
            _ => known.failure = Some(failure),
        },
        _ => {}
    }
    known.wake();
}

/// Waits for `work` unless word comes first.
async fn unless<T>(mut word: oneshot::Receiver<()>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| match Pin::new(&mut word).poll(context) {
        Poll::Ready(Ok(())) => Poll::Ready(None),
        _ => work.as_mut().poll(context).map(Some),
    })
    .await
}

/// Opens a device. After a loss a browser may have none to give for some seconds.
async fn open() -> Result<Gpu, GpuError> {
    for wait_ms in [100, 400, 1500, 4000] {
        if let Ok(gpu) = Gpu::open(None).await {
            return Ok(gpu.with_clock(nanoseconds));
        }
        browser::sleep(wait_ms).await;
    }
    Ok(Gpu::open(None).await?.with_clock(nanoseconds))
}

/// The page's clock, as engines take it.
fn nanoseconds() -> u64 {
    (browser::seconds() * 1e9) as u64
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
