//! A model's files as they are, whether or not they describe the model: what `import` and `convert` read.

use std::fs;
use std::path::Path;

use isobath::convert::facts::Facts;
use isobath::error::ModelError;
use isobath::files::gguf::Gguf;
use isobath::files::safetensors::Folder;
use isobath::network::config::ModelConfig;
use isobath::network::generation::Generation;
use isobath::tensor::TensorSource;
use isobath::text::{GgufVocabulary, Tokenizer};
use serde_json::Value;

use super::open::{self, Place};

/// Everything of a model but what its settings mean.
pub struct Opened<'a> {
    /// The settings, where they are complete; the text of config.json, where they may not be.
    pub settings: Settings,
    pub tensors: &'a dyn TensorSource,
    pub text: Text,
}

/// How much a model says of itself.
pub enum Settings {
    /// All.
    Complete(Box<ModelConfig>),
    /// A config.json that may lack what makes the model recursive, or none.
    Partial(Option<String>),
}

/// Tokenizer and chat template.
#[derive(Debug, Clone, Default)]
pub struct Text {
    pub tokenizer: Option<Spelling>,
    pub template: Option<String>,
    /// tokenizer_config.json.
    pub tokenizer_config: Option<String>,
    /// generation_config.json, or what the keys of a GGUF file say in its terms.
    pub generation_config: Option<String>,
}

/// A tokenizer in the form in which it was found.
#[derive(Debug, Clone)]
pub enum Spelling {
    Json(Vec<u8>),
    Gguf(Box<GgufVocabulary>),
}

impl Text {
    /// The bytes of a tokenizer.json.
    pub fn json(&self) -> anyhow::Result<Vec<u8>> {
        match &self.tokenizer {
            Some(Spelling::Json(bytes)) => Ok(bytes.clone()),
            Some(Spelling::Gguf(vocabulary)) => {
                Ok(Tokenizer::from_vocabulary((**vocabulary).clone())?.to_json()?.into_bytes())
            }
            None => Err(missing().into()),
        }
    }

    /// The vocabulary of a GGUF file.
    pub fn vocabulary(&self, vocab_size: u32) -> anyhow::Result<GgufVocabulary> {
        match &self.tokenizer {
            Some(Spelling::Json(bytes)) => Ok(GgufVocabulary::from_json(bytes, vocab_size)?),
            Some(Spelling::Gguf(vocabulary)) => Ok((**vocabulary).clone()),
            None => Err(missing().into()),
        }
    }
}

fn missing() -> ModelError {
    ModelError::Config {
        why: "the source has no tokenizer.json; name the one that belongs to the model with --tokenizer FILE".into(),
    }
}

/// Opens a model and hands it on. `tokenizer` takes the place of the model's own; facts that stand beside the weights are
/// added to `facts`.
pub fn open<T>(
    place: &Place,
    tokenizer: Option<&Path>,
    facts: &mut Facts,
    then: impl FnOnce(Opened<'_>, &mut Facts) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let named = tokenizer.map(read).transpose()?.map(Spelling::Json);
    match place {
        Place::Gguf(path) => {
            let bytes = open::map(path)?;
            let file = Gguf::parse(&bytes, &path.display().to_string())?;
            let own = || anyhow::Ok(Spelling::Gguf(Box::new(file.vocabulary()?)));
            let tokenizer = Some(named.map_or_else(own, Ok)?);
            let template = file.string("tokenizer.chat_template")?.map(str::to_owned);
            let (config, generation) = (file.config()?, file.generation()?);
            let suggested = generation.suggestion.words().is_some();
            let generation_config = suggested.then(|| format!("{:#}\n", generation.to_json(&config.end_tokens)));
            let text = Text { tokenizer, template, tokenizer_config: None, generation_config };
            let settings = Settings::Complete(Box::new(config));
            then(Opened { settings, tensors: &file, text }, facts)
        }
        Place::Folder(folder) => {
            let own = optional(folder, "tokenizer.json")?.map(Spelling::Json);
            let generation_config = open::generation_config(folder)?;
            // It goes along as it is, but not where it is damaged.
            generation_config.as_deref().map(Generation::from_json).transpose()?;
            let text = Text {
                tokenizer: named.or(own),
                template: open::chat_template(folder)?,
                tokenizer_config: open::tokenizer_config(folder)?,
                generation_config,
            };
            let settings = settings(folder)?;
            let mut files = open::weights(folder)?;
            let adapters = folder.join("adapter_model.safetensors");
            if adapters.is_file() {
                files.push((adapters.display().to_string(), open::map(&adapters)?));
                scale_of_adapters(folder, facts)?;
            }
            then(Opened { settings, tensors: &Folder::parse(&files)?, text }, facts)
        }
    }
}

/// A config.json with an `isobath` block says all; any other may be that of a recursive model that does not say so.
fn settings(folder: &Path) -> anyhow::Result<Settings> {
    let Some(bytes) = optional(folder, "config.json")? else { return Ok(Settings::Partial(None)) };
    let text = String::from_utf8(bytes).map_err(|error| ModelError::Format {
        file: folder.join("config.json").display().to_string(),
        why: error.to_string(),
    })?;
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    if value["isobath"].is_null() {
        return Ok(Settings::Partial(Some(text)));
    }
    Ok(Settings::Complete(Box::new(ModelConfig::from_json(&text)?)))
}

/// What peft writes beside adapters: their scale, unless it differs from one to the next.
fn scale_of_adapters(folder: &Path, facts: &mut Facts) -> anyhow::Result<()> {
    let Some(bytes) = optional(folder, "adapter_config.json")? else { return Ok(()) };
    let settings: Value = serde_json::from_slice(&bytes)
        .map_err(|error| ModelError::Format { file: "adapter_config.json".into(), why: error.to_string() })?;
    let empty = |key: &str| settings[key].as_object().is_none_or(serde_json::Map::is_empty);
    let plain = empty("alpha_pattern") && empty("rank_pattern") && settings["use_rslora"] != true;
    if let (true, Some(alpha), Some(rank)) = (plain, settings["lora_alpha"].as_f64(), settings["r"].as_f64()) {
        facts.add("lora.scale", alpha / rank, "adapter_config.json (lora_alpha / r)")?;
    }
    Ok(())
}

fn optional(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, ModelError> {
    let path = folder.join(name);
    path.is_file().then(|| read(&path)).transpose()
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })
}
