//! From the bytes of a model to one that writes: the only way there is, for the command, the window, the page and whoever
//! uses the library.
//!
//! [`Files`] holds bytes, wherever they lie. [`Files::read`] makes [`Parts`] of them, which need no GPU and can still be
//! changed; [`Parts::load`] puts these on one.

use std::sync::OnceLock;

use super::model::Model;
use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, ModelError};
use crate::files::gguf::{self, Gguf};
use crate::files::index::WeightFile;
use crate::files::random::Random;
use crate::files::safetensors::Folder;
use crate::gpu::Gpu;
use crate::network::config::ModelConfig;
use crate::network::generation::Generation;
use crate::tensor::bytes::FileBytes;
use crate::tensor::{DataType, TensorSource};
use crate::text::{ChatTemplate, LocalTime, SpecialTokens, Tokenizer, chat};

/// The bytes of a file: read, mapped, or to be fetched.
pub type Bytes = Box<dyn FileBytes>;

/// What tells chat templates the date.
pub type Clock = fn() -> LocalTime;

/// How far the loading of a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// What is being done.
    #[serde(default)]
    pub step: Step,
    /// So much of it: bytes of weights, or kernels.
    pub done: u64,
    /// So much in total; 0 while unknown.
    pub total: u64,
}

/// A step of loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Weights are on their way to the GPU.
    #[default]
    Weights,
    /// Kernels are compiled, on GPUs that do so ahead.
    Kernels,
}

impl Progress {
    /// So many bytes of weights.
    pub fn weights(done: u64, total: u64) -> Self {
        Self { step: Step::Weights, done, total }
    }

    /// So many kernels.
    pub fn kernels(done: usize, total: usize) -> Self {
        Self { step: Step::Kernels, done: done as u64, total: total as u64 }
    }
}

/// The files of a model.
pub enum Files {
    /// A folder in the manner of Hugging Face.
    Folder(FolderFiles),
    /// A GGUF file, which holds everything.
    Gguf(GgufFile),
}

/// The files of a folder.
pub struct FolderFiles {
    /// The text of `config.json`.
    pub config: String,
    /// The bytes of `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// The text of `chat_template.jinja`, where there is one.
    pub chat_template: Option<String>,
    /// The text of `tokenizer_config.json`, where there is one: special tokens, and perhaps the template.
    pub tokenizer_config: Option<String>,
    /// The text of `special_tokens_map.json`, where there is one.
    pub special_tokens_map: Option<String>,
    /// The text of `generation_config.json`, where there is one.
    pub generation_config: Option<String>,
    /// Names and bytes of the files of weights.
    pub tensors: Vec<(String, Bytes)>,
}

/// A GGUF file.
pub struct GgufFile {
    name: String,
    bytes: Bytes,
    /// Its beginning, where it is not in memory.
    head: OnceLock<Vec<u8>>,
}

impl Files {
    /// A folder of the least: `config.json`, `tokenizer.json` and the bytes of `model.safetensors`.
    pub fn folder(config: impl Into<String>, tokenizer: impl Into<Vec<u8>>, weights: impl FileBytes + 'static) -> Self {
        Self::Folder(FolderFiles {
            config: config.into(),
            tokenizer: tokenizer.into(),
            chat_template: None,
            tokenizer_config: None,
            special_tokens_map: None,
            generation_config: None,
            tensors: vec![("model.safetensors".into(), Box::new(weights))],
        })
    }

    /// A GGUF file; `name` is what messages call it.
    pub fn gguf(name: impl Into<String>, bytes: impl FileBytes + 'static) -> Self {
        Self::Gguf(GgufFile { name: name.into(), bytes: Box::new(bytes), head: OnceLock::new() })
    }

    /// Reads everything but the weights. `clock` tells templates the date.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub async fn read(&self, clock: Option<Clock>) -> Result<Parts<'_>, Error> {
        match self {
            Self::Folder(files) => files.read(clock).await,
            Self::Gguf(file) => file.read(clock).await,
        }
    }
}

impl FolderFiles {
    async fn read(&self, clock: Option<Clock>) -> Result<Parts<'_>, Error> {
        let mut config = ModelConfig::from_json(&self.config)?;
        let tokenizer = Tokenizer::from_json(&self.tokenizer)?;
        // Templates mean the end that the config names, wherever else texts may end.
        let (begin, end) = (config.bos_token, config.end_tokens.first().copied());
        let settings = self.tokenizer_config.as_deref();
        let tokens = special_tokens(settings, self.special_tokens_map.as_deref())?;
        let source = chat_template(self.chat_template.clone(), settings)?;
        let template = template(source.as_deref(), &tokens.or_ids(&tokenizer, begin, end), clock)?;
        let generation = generation(self.generation_config.as_deref(), &mut config)?;
        let mut files = Vec::with_capacity(self.tensors.len());
        for (name, bytes) in &self.tensors {
            files.push(WeightFile::open(&**bytes, name).await?);
        }
        let tensors = Box::new(Folder::new(files)?);
        let warnings = generation.warning().into_iter().collect();
        Ok(Parts { config, tokenizer, template, generation, warnings, tensors })
    }
}

impl GgufFile {
    async fn read(&self, clock: Option<Clock>) -> Result<Parts<'_>, Error> {
        let bytes = &*self.bytes;
        if self.head.get().is_none() {
            // Whoever was first has read the same.
            let _ = self.head.set(gguf::head(bytes, &self.name).await?);
        }
        let file = Gguf::open(self.head.get().map_or(&[], Vec::as_slice), bytes, &self.name)?;
        let vocabulary = file.vocabulary()?;
        let warning = vocabulary.warning().map(str::to_owned);
        let tokenizer = Tokenizer::from_vocabulary(vocabulary)?;
        let tokens = file.special_tokens(&tokenizer)?;
        let template = template(file.string("tokenizer.chat_template")?, &tokens, clock)?;
        let (config, generation) = (file.config()?, file.generation()?);
        let warnings = warning.into_iter().chain(generation.warning()).collect();
        Ok(Parts { config, tokenizer, template, generation, warnings, tensors: Box::new(file) })
    }
}

/// What the text of a `generation_config.json` says of writing; where texts end goes into the config.
///
/// # Errors
/// What is wrong with the text.
pub fn generation(text: Option<&str>, config: &mut ModelConfig) -> Result<Generation, ModelError> {
    let mut generation = text.map(Generation::from_json).transpose()?.unwrap_or_default();
    generation.apply(config);
    Ok(generation)
}

/// The chat template of a folder: that of `chat_template.jinja`, or of `tokenizer_config.json` (`default`, where it has
/// several).
///
/// # Errors
/// A `tokenizer_config.json` that is no JSON.
pub fn chat_template(own: Option<String>, tokenizer_config: Option<&str>) -> Result<Option<String>, ModelError> {
    let (None, Some(config)) = (&own, tokenizer_config) else { return Ok(own) };
    chat::template_of(config)
        .map_err(|error| ModelError::Format { file: "tokenizer_config.json".into(), why: error.to_string() })
}

fn special_tokens(tokenizer_config: Option<&str>, map: Option<&str>) -> Result<SpecialTokens, ModelError> {
    let Some(config) = tokenizer_config else { return Ok(SpecialTokens::default()) };
    SpecialTokens::from_config(config, map).map_err(|error| ModelError::Format {
        file: "tokenizer_config.json or special_tokens_map.json".into(),
        why: error.to_string(),
    })
}

/// The template of that text, with the clock.
fn template(source: Option<&str>, tokens: &SpecialTokens, clock: Option<Clock>) -> Result<Option<ChatTemplate>, Error> {
    let Some(source) = source else { return Ok(None) };
    let template = ChatTemplate::new(source, tokens)?;
    Ok(Some(match clock {
        Some(clock) => template.with_clock(clock),
        None => template,
    }))
}

/// A model that is read but for its weights. What is changed here holds for the model that is loaded.
pub struct Parts<'a> {
    /// The network.
    pub config: ModelConfig,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// How conversations are written, where the model was made for them.
    pub template: Option<ChatTemplate>,
    /// What the model's author says of writing.
    pub generation: Generation,
    /// What a person should know although the model loads.
    pub warnings: Vec<String>,
    /// The weights.
    pub tensors: Box<dyn TensorSource + 'a>,
}

impl Parts<'_> {
    /// A model of some shape with made-up weights, whose matrices have that type. Its tokens mean nothing; any tokenizer
    /// spells them.
    pub fn random(config: &ModelConfig, data_type: DataType, tokenizer: Tokenizer) -> Self {
        Self {
            config: config.clone(),
            tokenizer,
            template: None,
            generation: Generation::default(),
            warnings: vec![],
            tensors: Box::new(Random::new(config, 1, false, 0).with_matrices(data_type)),
        }
    }

    /// Puts the model on a GPU; `progress` is told of bytes, then of kernels. What is dropped before it is done leaves
    /// nothing behind.
    ///
    /// # Errors
    /// What is wrong with the weights, or what the GPU has no room for.
    pub async fn load(
        self,
        gpu: Gpu,
        options: EngineOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Model, Error> {
        let Self { config, tokenizer, template, generation, warnings, tensors } = self;
        let mut bytes = |done, total| progress(Progress::weights(done, total));
        let mut engine = Engine::load(gpu, &config, &*tensors, tokenizer, options, &mut bytes).await?;
        engine.prepare(&mut |done, total| progress(Progress::kernels(done, total))).await?;
        let size = |name: &String| match tensors.info(name) {
            Ok(Some((_, shape))) => shape.iter().product::<usize>() as u64,
            _ => 0,
        };
        let parameters = tensors.names().iter().map(size).sum();
        Ok(Model { engine, template, generation, warnings, parameters })
    }
}
