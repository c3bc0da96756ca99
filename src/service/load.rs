//! From the bytes of a model to an engine, with progress, and a way out.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use futures_channel::mpsc::UnboundedReceiver;

use super::facts::{Adapter, ModelFacts};
use super::message::Command;
use crate::engine::{Engine, EngineOptions};
use crate::error::Error;
use crate::files::gguf::{self, Gguf};
use crate::files::index::WeightFile;
use crate::files::safetensors::Folder;
use crate::gpu::Gpu;
use crate::network::config::ModelConfig;
use crate::network::flops::TokenFlops;
use crate::network::gate::Gate;
use crate::network::generation::{Generation, Suggestion};
use crate::runtime::room::Cut;
use crate::runtime::tick::Order;
use crate::tensor::TensorSource;
use crate::tensor::bytes::FileBytes;
use crate::text::{ChatTemplate, LocalTime, SpecialTokens, Tokenizer};

/// The bytes of a file: read, mapped, or to be fetched.
pub type Bytes = Box<dyn FileBytes>;

/// The files of a model.
pub enum Files {
    /// A folder in the manner of Hugging Face.
    Folder {
        /// `config.json`.
        config: String,
        /// `tokenizer.json`.
        tokenizer: Vec<u8>,
        /// The chat template, where there is one.
        chat_template: Option<String>,
        /// What its `tokenizer_config.json` names.
        special_tokens: SpecialTokens,
        /// Names and bytes of the `.safetensors` files.
        tensors: Vec<(String, Bytes)>,
    },
    /// A GGUF file, which holds everything.
    Gguf {
        /// Its name.
        name: String,
        /// Its bytes.
        bytes: Bytes,
    },
}

/// What a service is started with.
pub struct Start {
    /// What the model is to be called.
    pub name: String,
    /// What the model's author wants to be said.
    pub note: Option<String>,
    /// The model.
    pub files: Files,
    /// The text of the folder's `generation_config.json`, where there is one.
    pub generation_config: Option<String>,
    /// Lanes, context and the like.
    pub options: EngineOptions,
    /// What tells chat templates the date.
    pub clock: Option<fn() -> LocalTime>,
}

impl Start {
    /// A model under a name, with 32 lanes and everything else as it comes.
    pub fn new(name: impl Into<String>, files: Files) -> Self {
        let options = EngineOptions { lanes: 32, ..EngineOptions::default() };
        Self { name: name.into(), note: None, files, generation_config: None, options, clock: None }
    }
}

/// A model that is ready.
pub(super) struct Loaded {
    pub engine: Engine,
    pub template: Option<ChatTemplate>,
    pub facts: ModelFacts,
}

/// Commands as they come, while the model loads and after.
pub(super) struct Inbox {
    receiver: UnboundedReceiver<Command>,
    /// What came while the model was loading.
    kept: VecDeque<Command>,
    /// Everybody who could send is gone.
    pub closed: bool,
}

impl Inbox {
    pub fn new(receiver: UnboundedReceiver<Command>) -> Self {
        Self { receiver, kept: VecDeque::new(), closed: false }
    }

    /// A command that has come already.
    pub fn try_next(&mut self) -> Option<Command> {
        if let Some(command) = self.kept.pop_front() {
            return Some(command);
        }
        match self.receiver.try_recv() {
            Ok(command) => Some(command),
            Err(error) => {
                self.closed |= error.is_closed();
                None
            }
        }
    }

    /// The next command; `None` where none can come any more.
    pub async fn next(&mut self) -> Option<Command> {
        if let Some(command) = self.kept.pop_front() {
            return Some(command);
        }
        let command = self.receiver.recv().await.ok();
        self.closed |= command.is_none();
        command
    }

    /// Waits for `work` unless a `CancelAll` comes first; what comes beside it is kept.
    pub async fn unless_cancelled<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.poll_cancelled(context) {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }

    fn poll_cancelled(&mut self, context: &mut Context<'_>) -> bool {
        while let Poll::Ready(command) = pin!(self.receiver.recv()).poll(context) {
            match command {
                Ok(Command::CancelAll) => {
                    self.kept.clear();
                    return true;
                }
                Ok(command) => self.kept.push_back(command),
                Err(_) => {
                    // What was asked is still done.
                    self.closed = true;
                    return false;
                }
            }
        }
        false
    }
}

/// Loads a model; what is dropped before it is done leaves nothing behind.
pub(super) async fn load(start: &Start, gpu: Gpu, progress: &mut dyn FnMut(u64, u64)) -> Result<Loaded, Error> {
    match &start.files {
        Files::Folder { config, tokenizer, chat_template, special_tokens, tensors } => {
            let mut config = ModelConfig::from_json(config)?;
            let tokenizer = Tokenizer::from_json(tokenizer)?;
            let mut parsed = Vec::with_capacity(tensors.len());
            for (name, bytes) in tensors {
                parsed.push(WeightFile::open(&**bytes, name).await?);
            }
            let source = Folder::new(parsed)?;
            let tokens =
                special_tokens.clone().or_ids(&tokenizer, config.bos_token, config.end_tokens.first().copied());
            let template = chat(start, chat_template.as_deref(), &tokens)?;
            let text = start.generation_config.as_deref();
            let mut generation = text.map(Generation::from_json).transpose()?.unwrap_or_default();
            generation.apply(&mut config);
            let texts = Texts { tokenizer, template, warning: None, generation };
            build(start, gpu, &config, &source, texts, progress).await
        }
        Files::Gguf { name, bytes } => {
            let head = gguf::head(&**bytes, name).await?;
            let file = Gguf::open(&head, &**bytes, name)?;
            let vocabulary = file.vocabulary()?;
            let warning = vocabulary.warning();
            let tokenizer = Tokenizer::from_vocabulary(vocabulary)?;
            let template = chat(start, file.string("tokenizer.chat_template")?, &file.special_tokens(&tokenizer)?)?;
            let texts = Texts { tokenizer, template, warning, generation: file.generation()? };
            build(start, gpu, &file.config()?, &file, texts, progress).await
        }
    }
}

/// What belongs to a model beside its network.
struct Texts {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    warning: Option<&'static str>,
    generation: Generation,
}

/// The template of that text, with the clock.
fn chat(start: &Start, source: Option<&str>, tokens: &SpecialTokens) -> Result<Option<ChatTemplate>, Error> {
    let Some(source) = source else { return Ok(None) };
    let template = ChatTemplate::new(source, tokens)?;
    Ok(Some(match start.clock {
        Some(clock) => template.with_clock(clock),
        None => template,
    }))
}

async fn build(
    start: &Start,
    gpu: Gpu,
    config: &ModelConfig,
    source: &dyn TensorSource,
    texts: Texts,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Loaded, Error> {
    let Texts { tokenizer, template, warning, generation } = texts;
    let mut engine = Engine::load(gpu, config, source, tokenizer, start.options, progress).await?;
    engine.prepare(&mut |_, _| {}).await?;
    let mut facts = facts(start, &engine, source, template.is_some());
    facts.suggestion = generation.suggestion;
    facts.suggested_by = generation.origin.to_owned();
    facts.warnings = warning.map(str::to_owned).into_iter().chain(generation.warning()).collect();
    Ok(Loaded { engine, template, facts })
}

fn facts(start: &Start, engine: &Engine, source: &dyn TensorSource, chat: bool) -> ModelFacts {
    let (config, plan) = (engine.config(), engine.plan());
    let size = |name: &String| match source.info(name) {
        Ok(Some((_, shape))) => shape.iter().product::<usize>() as u64,
        _ => 0,
    };
    let adapter = engine.gpu().summary();
    let cache = engine.memory().cache;
    let middle = f64::from(engine.context()) / 2.0;
    ModelFacts {
        name: start.name.clone(),
        note: start.note.clone(),
        rounds: plan.n_rounds(),
        layers_per_round: plan.rounds.first().map_or(0, |round| round.layers.len() as u32),
        layers_outside: (plan.prologue.len() + plan.epilogue.len()) as u32,
        parameters: source.names().iter().map(size).sum(),
        vocabulary: config.vocab_size,
        context: engine.context(),
        lanes: engine.lanes(),
        order: if engine.order() == Order::Mixed { "mixed" } else { "waves" }.into(),
        thresholds: engine.gate().is_some_and(Gate::has_thresholds),
        scores: engine.gate().is_some(),
        chat,
        flops: TokenFlops::of(config, plan, middle),
        suggestion: Suggestion::default(),
        suggested_by: String::new(),
        warnings: vec![],
        cache_bytes: cache.bytes,
        sequence_bytes: cache.sequence_bytes(engine.context()),
        cache_sequences: cache.sequences(engine.context()),
        cuts: engine.cuts().iter().map(Cut::to_string).collect(),
        adapter: Adapter {
            name: adapter.name.clone(),
            kind: adapter.kind.to_owned(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            features: adapter.features.clone(),
        },
    }
}
