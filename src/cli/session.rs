//! From the files of a model to one that writes: everything between the command and the engine.

use std::path::Path;

use isobath::engine::event::{Event, FinishReason};
use isobath::engine::request::Request;
use isobath::engine::{DEFAULT_CONTEXT, Engine, EngineOptions};
use isobath::error::{Error, ModelError};
use isobath::files::gguf::Gguf;
use isobath::files::random::Random;
use isobath::files::safetensors::Folder;
use isobath::gpu::{AdapterSummary, Gpu};
use isobath::network::config::ModelConfig;
use isobath::network::generation::Generation;
use isobath::network::names::check_tensors;
use isobath::tensor::{DataType, TensorSource};
use isobath::text::{ChatTemplate, Message, SpecialTokens, Tokenizer};
use pollster::block_on;

use super::args::Loading;
use super::clock;
use super::inspect::{EndFact, Facts, TensorFact, sizes};
use super::length::Length;
use super::open::{self, Place};
use super::progress::Progress;
use super::writer::{Role, Turn, Writer};

/// What is said where a conversation meets a model without a template.
pub const NO_TEMPLATE: &str =
    "note: the model has no chat template; it is given the conversation as `User:` and `Assistant:` lines";

/// Where an answer ends then.
pub const NEXT_TURN: &str = "\nUser:";

/// A loaded model.
struct Session {
    engine: Engine,
    template: Option<ChatTemplate>,
    generation: Generation,
    profile: bool,
    quiet: bool,
    /// Its kernels were made already.
    warm: bool,
}

/// The adapters of this machine.
pub fn adapters() -> Vec<AdapterSummary> {
    block_on(Gpu::adapters())
}

/// Reads a model and puts it on the GPU; so many alternatives are told with each token.
pub fn load(
    place: &Place,
    loading: &Loading,
    length: Length<'_>,
    alternatives: u32,
) -> anyhow::Result<Box<dyn Writer>> {
    let options = EngineOptions { alternatives, ..EngineOptions::default() };
    Ok(Box::new(session(place, loading, length, options, true)?))
}

/// Reads a model and puts it on the GPU, for more than one sequence.
pub fn engine(place: &Place, loading: &Loading, options: EngineOptions) -> anyhow::Result<Engine> {
    Ok(session(place, loading, Length::Usual, options, true)?.engine)
}

/// The same beside the model's chat template, where it has one.
pub fn engine_and_template(
    place: &Place,
    loading: &Loading,
    length: Length<'_>,
    options: EngineOptions,
) -> anyhow::Result<(Engine, Option<ChatTemplate>)> {
    let session = session(place, loading, length, options, true)?;
    Ok((session.engine, session.template))
}

/// The same model run as if it had no gates, to tell what they cost; what it writes is another text.
pub fn gateless_engine(place: &Place, loading: &Loading, options: EngineOptions) -> anyhow::Result<Engine> {
    Ok(session(place, loading, Length::Usual, options, false)?.engine)
}

/// Makes up a model of some shape and puts it on the GPU.
pub fn random_engine(
    config: &ModelConfig,
    data_type: DataType,
    loading: &Loading,
    options: EngineOptions,
) -> anyhow::Result<Engine> {
    // Its tokens mean nothing; any tokenizer spells them.
    let tokenizer = Tokenizer::from_json(include_bytes!("../../tests/models/tiny/tokenizer.json"))?;
    let source = Random::new(config, 1, false, 0).with_matrices(data_type);
    Ok(start(loading, Length::Usual, options, config, &source, tokenizer, None, Generation::default())?.engine)
}

fn session(
    place: &Place,
    loading: &Loading,
    length: Length<'_>,
    options: EngineOptions,
    gates: bool,
) -> anyhow::Result<Session> {
    if let Some(note) = place.note().filter(|_| !loading.quiet) {
        eprintln!("{note}");
    }
    match place {
        Place::Folder(folder) => {
            let mut config = ModelConfig::from_json(&open::config(folder)?)?;
            config.router = config.router.filter(|_| gates);
            let tokenizer = Tokenizer::from_json(open::tokenizer(folder)?.as_bytes())?;
            let tokens = open::special_tokens(folder)?;
            let tokens = tokens.or_ids(&tokenizer, config.bos_token, config.end_tokens.first().copied());
            let template = chat(open::chat_template(folder)?.as_deref(), &tokens)?;
            let generation = generation(folder, &mut config)?;
            let files = open::weights(folder)?;
            let source = Folder::parse(&files)?;
            start(loading, length, options, &config, &source, tokenizer, template, generation)
        }
        Place::Gguf(path) => {
            let bytes = open::map(path)?;
            let file = Gguf::parse(&bytes, &path.display().to_string())?;
            let vocabulary = file.vocabulary()?;
            if let Some(warning) = vocabulary.warning().filter(|_| !loading.quiet) {
                eprintln!("warning: {warning}");
            }
            let tokenizer = Tokenizer::from_vocabulary(vocabulary)?;
            let template = chat(file.string("tokenizer.chat_template")?, &file.special_tokens(&tokenizer)?)?;
            start(loading, length, options, &file.config()?, &file, tokenizer, template, file.generation()?)
        }
    }
}

/// What the model's author says of writing; where texts end goes into the config.
fn generation(folder: &Path, config: &mut ModelConfig) -> Result<Generation, ModelError> {
    let text = open::generation_config(folder)?;
    let mut generation = text.as_deref().map(Generation::from_json).transpose()?.unwrap_or_default();
    generation.apply(config);
    Ok(generation)
}

/// The template of that text, with today's date.
fn chat(source: Option<&str>, tokens: &SpecialTokens) -> anyhow::Result<Option<ChatTemplate>> {
    let template = source.map(|source| ChatTemplate::new(source, tokens)).transpose()?;
    Ok(template.map(|template| template.with_clock(clock::local_time)))
}

#[allow(clippy::too_many_arguments, reason = "the parts of a model, each used once")]
fn start(
    loading: &Loading,
    length: Length<'_>,
    options: EngineOptions,
    config: &ModelConfig,
    source: &dyn TensorSource,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    generation: Generation,
) -> anyhow::Result<Session> {
    if let Some(warning) = generation.warning().filter(|_| !loading.quiet) {
        eprintln!("warning: {warning}");
    }
    let gpu = block_on(Gpu::open(loading.adapter.as_deref()))?.with_clock(clock::nanoseconds());
    let gpu = if loading.checked_shaders { gpu.checked() } else { gpu };
    if !loading.quiet {
        eprintln!("adapter: {}", gpu.description());
    }
    let context = match loading.context {
        Some(context) => context,
        None => length.context(config, &tokenizer, template.as_ref())?,
    };
    let options = EngineOptions { context: Some(context), profile: loading.profile, ..options };
    let progress = Progress::new(loading.quiet);
    let mut report = |done, total| progress.set(done, total);
    let engine = block_on(Engine::load(gpu, config, source, tokenizer, options, &mut report));
    progress.end();
    let mut engine = engine?;
    if let Some(gate) = &loading.gate {
        gate.apply(&mut engine)?;
    }
    if !loading.quiet {
        tell_room(&engine);
    }
    let Loading { profile, quiet, .. } = *loading;
    Ok(Session { engine, template, generation, profile, quiet, warm: false })
}

/// What could not be had, and what was set aside where it is more than a single sequence usually takes.
fn tell_room(engine: &Engine) {
    engine.cuts().iter().for_each(|cut| eprintln!("{cut}"));
    let (cache, context) = (engine.memory().cache, engine.context());
    if engine.lanes() > 1 || context > DEFAULT_CONTEXT {
        eprintln!(
            "KV cache: {} set aside; a sequence of {context} tokens takes {}, {} such fit at once",
            sizes::bytes(cache.bytes),
            sizes::bytes(cache.sequence_bytes(context)),
            cache.sequences(context)
        );
    }
}

impl Writer for Session {
    fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        Ok(self.engine.tokenizer().encode_prompt(text, true)?)
    }

    fn encode_turns(&self, turns: &[Turn]) -> Result<Option<Vec<u32>>, Error> {
        let Some(template) = &self.template else { return Ok(None) };
        let role = |role| match role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let messages: Vec<Message> = turns.iter().map(|turn| Message::new(role(turn.role), &turn.content)).collect();
        // The template writes the begin-of-sequence token itself where the model wants one.
        Ok(Some(self.engine.tokenizer().encode(&template.render(&messages, true)?, true)?))
    }

    fn generate(
        &mut self,
        request: &Request,
        sink: &mut dyn FnMut(&Event) -> std::ops::ControlFlow<()>,
    ) -> Result<FinishReason, Error> {
        let mut preparing = (!self.warm).then(|| Progress::preparing(self.quiet));
        self.warm = true;
        let outcome = block_on(self.engine.generate(request, &mut |event| {
            preparing.take().iter().for_each(Progress::end);
            sink(event)
        }));
        preparing.iter().for_each(Progress::end);
        outcome
    }

    fn rounds(&self) -> u32 {
        self.engine.plan().n_rounds()
    }

    fn adapter(&self) -> &str {
        self.engine.gpu().description()
    }

    fn profile(&self) -> Option<String> {
        kernel_times(&self.engine).filter(|_| self.profile)
    }

    fn generation(&self) -> &Generation {
        &self.generation
    }
}

/// The time that each kernel took, the most expensive first; none where nothing was timed.
pub fn kernel_times(engine: &Engine) -> Option<String> {
    let times = engine.gpu().profile();
    let total: f64 = times.iter().map(|row| row.microseconds).sum();
    let line = |row: &isobath::gpu::profile::KernelTime| {
        let share = 100.0 * row.microseconds / total.max(1e-9);
        format!("{:16} {:8} {:12.0} us {share:5.1} %", row.kernel, row.dispatches, row.microseconds)
    };
    let lines: Vec<String> = times.iter().map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What can be read of a model without a GPU.
pub fn facts(place: &Place) -> anyhow::Result<Facts> {
    match place {
        Place::Folder(folder) => facts_of_folder(folder),
        Place::Gguf(path) => {
            let bytes = open::map(path)?;
            let file = Gguf::parse(&bytes, &path.display().to_string())?;
            let mut facts = Facts { format: "GGUF", ..empty() };
            let warning = file.vocabulary().ok().and_then(|vocabulary| vocabulary.warning());
            facts.warnings.extend(warning.map(str::to_owned));
            let tokenizer = file.vocabulary().map_err(Error::from).and_then(|v| Ok(Tokenizer::from_vocabulary(v)?));
            let tokenizer = keep_tokenizer(&mut facts, tokenizer);
            facts.chat_template = matches!(file.string("tokenizer.chat_template"), Ok(Some(_)));
            keep(&mut facts, file.config(), |facts, config| facts.config = Some(config));
            facts.ends = ends(facts.config.as_ref(), tokenizer.as_ref());
            keep(&mut facts, file.generation(), |facts, generation| facts.generation = generation);
            read_tensors(&mut facts, &file);
            Ok(facts)
        }
    }
}

fn facts_of_folder(folder: &Path) -> anyhow::Result<Facts> {
    let config = open::config(folder)?;
    let mut facts = Facts { format: "model folder", ..empty() };
    let config = ModelConfig::from_json(&config).and_then(|mut config| {
        let generation = generation(folder, &mut config)?;
        Ok((config, generation))
    });
    keep(&mut facts, config, |facts, (config, generation)| {
        facts.config = Some(config);
        facts.generation = generation;
    });
    let tokenizer =
        open::tokenizer(folder).map_err(Error::from).and_then(|json| Ok(Tokenizer::from_json(json.as_bytes())?));
    let tokenizer = keep_tokenizer(&mut facts, tokenizer);
    facts.ends = ends(facts.config.as_ref(), tokenizer.as_ref());
    keep(&mut facts, open::chat_template(folder), |facts, template| facts.chat_template = template.is_some());
    match open::weights(folder) {
        Err(error) => facts.faults.push(error.to_string()),
        Ok(files) => match Folder::parse(&files) {
            Err(error) => facts.faults.push(error.to_string()),
            Ok(source) => read_tensors(&mut facts, &source),
        },
    }
    Ok(facts)
}

fn empty() -> Facts {
    Facts {
        format: "",
        config: None,
        generation: Generation::default(),
        tensors: vec![],
        vocabulary: None,
        ends: vec![],
        chat_template: false,
        warnings: vec![],
        faults: vec![],
    }
}

fn keep_tokenizer(facts: &mut Facts, read: Result<Tokenizer, Error>) -> Option<Tokenizer> {
    let mut found = None;
    keep(facts, read, |facts, tokenizer: Tokenizer| {
        facts.vocabulary = Some(tokenizer.vocab_size());
        found = Some(tokenizer);
    });
    found
}

/// The tokens that end a text, as they are spelled.
fn ends(config: Option<&ModelConfig>, tokenizer: Option<&Tokenizer>) -> Vec<EndFact> {
    let tokens = config.into_iter().flat_map(|config| &config.end_tokens);
    let spelled = |token: u32| tokenizer.and_then(|tokenizer| tokenizer.token_text(token));
    tokens.map(|token| EndFact { token: *token, text: spelled(*token) }).collect()
}

/// Keeps what could be read, or why it could not.
fn keep<T, E: std::fmt::Display>(facts: &mut Facts, read: Result<T, E>, store: impl FnOnce(&mut Facts, T)) {
    match read {
        Ok(value) => store(facts, value),
        Err(error) => facts.faults.push(error.to_string()),
    }
}

fn read_tensors(facts: &mut Facts, source: &dyn TensorSource) {
    let mut names = source.names();
    names.sort_unstable();
    for name in names {
        let info: Result<_, ModelError> = source.info(&name);
        // A tensor of a type that cannot be used matters only where the network asks for it: that is checked below.
        if let Ok(Some((data_type, shape))) = info {
            let parameters = shape.iter().product::<usize>() as u64;
            let bytes = data_type.bytes(&shape).unwrap_or(0) as u64;
            facts.tensors.push(TensorFact { name, data_type: data_type.name(), parameters, bytes });
        }
    }
    if let Some(config) = &facts.config {
        facts.faults.extend(check_tensors(config, source).iter().map(ToString::to_string));
    }
}
