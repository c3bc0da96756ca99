//! From the files of a model to one that writes, with what is said of it on the way.

use isobath::disk;
use isobath::engine::event::{Event, FinishReason};
use isobath::engine::request::Request;
use isobath::engine::{DEFAULT_CONTEXT, Engine, EngineOptions};
use isobath::error::Error;
use isobath::gpu::{AdapterSummary, Gpu};
use isobath::network::config::ModelConfig;
use isobath::network::generation::Generation;
use isobath::network::kit::{Kit, fingerprint};
use isobath::network::plan::Plan;
use isobath::service::{Draft, Model, Parts, Prompt, Settings};
use isobath::tensor::DataType;
use isobath::text::Tokenizer;
use pollster::block_on;

use super::args::Loading;
use super::clock;
use super::compiled::{self, Compiled};
use super::inspect::sizes;
use super::length::Length;
use super::open::Place;
use super::progress::Progress;
use super::writer::Writer;

/// What is said where a conversation meets a model without a template.
pub const NO_TEMPLATE: &str =
    "note: the model has no chat template; it is given the conversation as `User:` and `Assistant:` lines";

/// A loaded model.
struct Session {
    model: Model,
    profile: bool,
    quiet: bool,
    /// Its kernels were made already.
    warm: bool,
}

/// The adapters of this machine.
pub fn adapters() -> Vec<AdapterSummary> {
    block_on(Gpu::adapters())
}

/// Reads a model and puts it on the GPU, as the commands see it; so many alternatives are told with each token.
pub fn writer(
    place: &Place,
    loading: &Loading,
    length: Length<'_>,
    alternatives: u32,
) -> anyhow::Result<Box<dyn Writer>> {
    let drafting = loading.drafting(Draft::Auto);
    drafting.check()?;
    let options = EngineOptions { alternatives, guesses: drafting.room(), ..EngineOptions::default() };
    let model = load(place, loading, options, |_| length)?;
    let Loading { profile, quiet, .. } = *loading;
    let warm = model.engine.gpu().traits().compiles_at_once;
    Ok(Box::new(Session { model, profile, quiet, warm }))
}

/// Reads a model and puts it on the GPU. `prepare` may change what was read, and says how long sequences must be able to get.
pub fn load<'l>(
    place: &Place,
    loading: &Loading,
    options: EngineOptions,
    prepare: impl FnOnce(&mut Parts<'_>) -> Length<'l>,
) -> anyhow::Result<Model> {
    if let Some(note) = place.note().filter(|_| !loading.quiet) {
        eprintln!("{note}");
    }
    let files = place.files()?;
    let mut parts = block_on(files.read(Some(clock::local_time)))?;
    let length = prepare(&mut parts);
    start(parts, loading, length, options)
}

/// Makes up a model of some shape and puts it on the GPU.
pub fn random(
    config: &ModelConfig,
    data_type: DataType,
    loading: &Loading,
    options: EngineOptions,
) -> anyhow::Result<Model> {
    let tokenizer = Tokenizer::from_json(include_bytes!("../../tests/models/tiny/tokenizer.json"))?;
    start(Parts::random(config, data_type, tokenizer), loading, Length::Usual, options)
}

fn start(parts: Parts<'_>, loading: &Loading, length: Length<'_>, options: EngineOptions) -> anyhow::Result<Model> {
    if !loading.quiet {
        parts.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    }
    let gpu = block_on(Gpu::open(loading.adapter.as_deref()))?.with_clock(disk::nanoseconds());
    let gpu = if loading.checked_shaders { gpu.checked() } else { gpu };
    if !loading.quiet {
        eprintln!("adapter: {}", gpu.description());
    }
    let context = match loading.context {
        Some(context) => context,
        None => length.context(&parts.config, &parts.tokenizer)?,
    };
    let options = EngineOptions {
        context: Some(context),
        profile: loading.profile,
        deferred: super::exit::room(loading),
        ..options
    };
    let drafting = loading.drafting(if options.guesses > 0 { Draft::Auto } else { Draft::Off });
    let read = |folder: &str| kit(folder, &parts);
    let exit_kit = loading.exit_kit.as_deref().map(read).transpose()?;
    let kit = drafting.kit().map(read).transpose()?;
    let (gpu, compiled) = compiled::restored(gpu);
    let progress = Progress::new(loading.quiet);
    let model = block_on(parts.load(gpu, options, &mut |at| progress.loading(at)));
    progress.end();
    let mut model = model?;
    compiled.iter().for_each(Compiled::keep);
    if let Some(gate) = &loading.gate {
        gate.apply(&mut model.engine)?;
    }
    if options.guesses > 0 {
        block_on(drafting.apply(&mut model.engine, kit.as_ref()))?;
    }
    super::exit::apply(loading, exit_kit.as_ref(), &mut model.engine)?;
    if !loading.quiet {
        tell_room(&model.engine);
    }
    Ok(model)
}

/// The kit in a folder, if it was made for the model.
fn kit(folder: &str, parts: &Parts<'_>) -> anyhow::Result<Kit> {
    let kit = disk::kit(folder)?;
    let rounds = Plan::of(&parts.config)?.n_rounds();
    kit.fits(&parts.config, rounds, &block_on(fingerprint(&parts.config, &*parts.tensors))?)?;
    Ok(kit)
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
    fn request(&self, prompt: &Prompt, settings: &Settings) -> Result<Request, Error> {
        Ok(self.model.request(prompt.clone(), settings)?)
    }

    fn has_template(&self) -> bool {
        self.model.template.is_some()
    }

    fn generate(
        &mut self,
        request: &Request,
        sink: &mut dyn FnMut(&Event) -> std::ops::ControlFlow<()>,
    ) -> Result<FinishReason, Error> {
        let mut preparing = (!self.warm).then(|| Progress::preparing(self.quiet));
        self.warm = true;
        let outcome = block_on(self.model.engine.generate(request, &mut |event| {
            preparing.take().iter().for_each(Progress::end);
            sink(event)
        }));
        preparing.iter().for_each(Progress::end);
        outcome
    }

    fn rounds(&self) -> u32 {
        self.model.engine.plan().n_rounds()
    }

    fn adapter(&self) -> &str {
        self.model.engine.gpu().description()
    }

    fn profile(&self) -> Option<String> {
        kernel_times(&self.model.engine).filter(|_| self.profile)
    }

    fn generation(&self) -> &Generation {
        &self.model.generation
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
