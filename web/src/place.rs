//! Where a model lies, and its files.

use std::collections::BTreeSet;

use isobath::engine::EngineOptions;
use isobath::service::{Bytes, Files, Start};
use isobath::text::{SpecialTokens, chat};

use crate::browser;
use crate::fetch;
use crate::file::{Distant, Picked, Progress};

/// Where the bundled model lies beside the page.
pub const BUNDLED: &str = "stories";

const EXPECTED: &str = "a model is a folder with config.json, tokenizer.json and model.safetensors, or a .gguf file";
/// Lists the files of weights that were split.
const INDEX: &str = "model.safetensors.index.json";

/// How texts end and tokens are drawn.
const GENERATION: &str = "generation_config.json";

/// Where a model lies.
#[derive(Debug, Clone)]
pub enum Place {
    /// On a server: the address of a folder or of a .gguf file.
    Address(String),
    /// Files of the person's.
    Files(Vec<Picked>),
}

impl Place {
    /// Opens its files, for an engine with that many lanes.
    pub async fn open(&self, lanes: u32, progress: Progress) -> Result<Start, String> {
        let (name, files, generation_config) = match self {
            Self::Address(address) => fetched(address.trim().trim_end_matches('/'), progress).await?,
            Self::Files(files) => own(files).await?,
        };
        let mut start = Start::new(name, files);
        start.generation_config = generation_config;
        start.clock = Some(browser::local_time);
        start.options = EngineOptions { lanes, alternatives: isobath::panel::ALTERNATIVES, ..EngineOptions::default() };
        Ok(start)
    }
}

/// The name of a model, its files, and the text of its generation_config.json where there is one.
type Opened = (String, Files, Option<String>);

/// The texts that tell how a conversation is put to the model.
#[derive(Default)]
struct ChatTexts {
    /// `chat_template.jinja`.
    template: Option<String>,
    /// `tokenizer_config.json`.
    settings: Option<String>,
    /// `special_tokens_map.json`.
    map: Option<String>,
}

impl ChatTexts {
    /// The template and the special tokens.
    fn read(self) -> Result<(Option<String>, SpecialTokens), String> {
        let Some(settings) = self.settings else { return Ok((self.template, SpecialTokens::default())) };
        let wrong = |error| format!("tokenizer_config.json or special_tokens_map.json: {error}");
        let tokens = SpecialTokens::from_config(&settings, self.map.as_deref()).map_err(wrong)?;
        let template = match self.template {
            Some(template) => Some(template),
            None => chat::template_of(&settings).map_err(wrong)?,
        };
        Ok((template, tokens))
    }
}

/// Some servers answer with a page where there is no such file.
fn is_a_page(text: &str) -> bool {
    text.trim_start().get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype"))
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

async fn fetched(address: &str, progress: Progress) -> Result<Opened, String> {
    if address.split(['?', '#']).next().is_some_and(|path| path.to_lowercase().ends_with(".gguf")) {
        let name = last(address).to_owned();
        let bytes: Bytes = Box::new(Distant::remote(address, progress).await?);
        return Ok((name.clone(), Files::Gguf { name, bytes }, None));
    }
    let folder = address.strip_suffix("/model.safetensors").unwrap_or(address);
    let at = |name: &str| format!("{folder}/{name}");
    let config = fetch::text(&at("config.json")).await?;
    let tokenizer = fetch::bytes(&at("tokenizer.json")).await?;
    // The bundled model is known to have none; elsewhere their absence is no fault.
    let mut texts = ChatTexts::default();
    let mut generation_config = None;
    if folder != BUNDLED {
        generation_config = optional(&at(GENERATION)).await;
        texts.template = optional(&at("chat_template.jinja")).await;
        texts.settings = optional(&at("tokenizer_config.json")).await;
        if texts.settings.as_ref().is_some_and(|text| !text.contains("added_tokens_decoder")) {
            texts.map = optional(&at("special_tokens_map.json")).await;
        }
    }
    let (chat_template, special_tokens) = texts.read()?;
    let mut tensors: Vec<(String, Bytes)> = Vec::new();
    match Distant::remote(&at("model.safetensors"), progress.clone()).await {
        Ok(file) => tensors.push(("model.safetensors".into(), Box::new(file))),
        Err(why) if why.contains("answers 404") => {
            let index = fetch::text(&at(INDEX)).await.map_err(|_| why)?;
            for name in parts(&index)? {
                let file = Distant::remote(&at(&name), progress.clone()).await?;
                tensors.push((name, Box::new(file)));
            }
        }
        Err(why) => return Err(why),
    }
    let files = Files::Folder { config, tokenizer, chat_template, special_tokens, tensors };
    Ok((last(folder).to_owned(), files, generation_config))
}

/// The text of a file that a model may do without; some servers answer with a page where there is none, others with any error.
async fn optional(address: &str) -> Option<String> {
    fetch::text(address).await.ok().filter(|text| !is_a_page(text))
}

/// Names of the files that the index of split weights lists.
fn parts(index: &str) -> Result<BTreeSet<String>, String> {
    let index: serde_json::Value = serde_json::from_str(index).map_err(|error| format!("{INDEX}: {error}"))?;
    let names = index["weight_map"].as_object().into_iter().flat_map(|map| map.values());
    let names: BTreeSet<String> = names.filter_map(|name| name.as_str()).map(str::to_owned).collect();
    match names.iter().find(|name| name.contains("..") || name.contains(':')) {
        Some(name) => Err(format!("{INDEX} names {name:?}, which lies outside of the model's folder")),
        None if names.is_empty() => Err(format!("{INDEX} has no `weight_map` with the names of files")),
        None => Ok(names),
    }
}

async fn own(files: &[Picked]) -> Result<Opened, String> {
    let ends = |end: &str| files.iter().find(|file| file.name.to_lowercase().ends_with(end));
    if let Some(file) = ends(".gguf") {
        let name = last(&file.name).to_owned();
        return Ok((name.clone(), Files::Gguf { name, bytes: Box::new(Distant::own(&file.blob)) }, None));
    }
    // Of several models in one folder the outermost.
    let configs = files.iter().filter(|file| last(&file.name) == "config.json");
    let Some(config) = configs.min_by_key(|file| file.name.matches('/').count()) else {
        return Err(missing("config.json", files, ends));
    };
    let folder = &config.name[..config.name.len() - "config.json".len()];
    let inside = |name: &str| files.iter().find(|file| file.name.strip_prefix(folder) == Some(name));
    let Some(tokenizer) = inside("tokenizer.json") else {
        return Err(missing("tokenizer.json", files, ends));
    };
    let weights = files.iter().filter(|file| {
        file.name.strip_prefix(folder).is_some_and(|name| name.ends_with(".safetensors") && !name.contains('/'))
    });
    let mut tensors: Vec<(String, Bytes)> = Vec::new();
    for file in weights {
        tensors.push((last(&file.name).to_owned(), Box::new(Distant::own(&file.blob))));
    }
    if tensors.is_empty() {
        return Err(missing("model.safetensors", files, ends));
    }
    let text = async |name| match inside(name) {
        Some(file) => file.text().await.map(Some),
        None => Ok(None),
    };
    let texts = ChatTexts {
        template: text("chat_template.jinja").await?,
        settings: text("tokenizer_config.json").await?,
        map: text("special_tokens_map.json").await?,
    };
    let (chat_template, special_tokens) = texts.read()?;
    let generation_config = text(GENERATION).await?;
    let (config, tokenizer) = (config.text().await?, tokenizer.bytes().await?);
    let name = last(folder.trim_end_matches('/'));
    let name = if name.is_empty() { "own model" } else { name };
    let files = Files::Folder { config, tokenizer, chat_template, special_tokens, tensors };
    Ok((name.to_owned(), files, generation_config))
}

fn missing<'f>(what: &str, files: &'f [Picked], ends: impl Fn(&str) -> Option<&'f Picked>) -> String {
    const SHOWN: usize = 6;
    if let Some(file) = [".bin", ".pt", ".pth", ".ckpt"].into_iter().find_map(ends) {
        return format!(
            "{} is a PyTorch checkpoint (pickle), which is not read; save the model as model.safetensors or GGUF",
            file.name
        );
    }
    let mut names: Vec<&str> = files.iter().take(SHOWN).map(|file| file.name.as_str()).collect();
    if files.len() > SHOWN {
        names.push("others");
    }
    format!(
        "there is no {what} among {}; {EXPECTED}, so drop the folder, or choose its files together",
        names.join(", ")
    )
}
