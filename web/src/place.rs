//! Where a model lies, and its files.

use std::collections::BTreeSet;

use isobath::engine::EngineOptions;
use isobath::service::{Bytes, Files, Start};
use isobath::text::chat;

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
        start.options = EngineOptions { lanes, alternatives: isobath::panel::ALTERNATIVES, ..EngineOptions::default() };
        Ok(start)
    }
}

/// The name of a model, its files, and the text of its generation_config.json where there is one.
type Opened = (String, Files, Option<String>);

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
    // The bundled model is known to have none; elsewhere its absence is no fault.
    let settings = if folder == BUNDLED { None } else { fetch::text(&at("tokenizer_config.json")).await.ok() };
    let generation_config = if folder == BUNDLED { None } else { optional(&at(GENERATION)).await? };
    let chat_template = settings.and_then(|text| chat::template_of(&text).ok().flatten());
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
    Ok((last(folder).to_owned(), Files::Folder { config, tokenizer, chat_template, tensors }, generation_config))
}

/// The text at an address; `None` where the server has none.
async fn optional(address: &str) -> Result<Option<String>, String> {
    match fetch::text(address).await {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.contains("answers 404") => Ok(None),
        Err(why) => Err(why),
    }
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
    let chat_template = match (inside("chat_template.jinja"), inside("tokenizer_config.json")) {
        (Some(template), _) => Some(template.text().await?),
        (None, Some(settings)) => {
            let name = &settings.name;
            chat::template_of(&settings.text().await?).map_err(|error| format!("{name}: {error}"))?
        }
        (None, None) => None,
    };
    let generation_config = match inside(GENERATION) {
        Some(file) => Some(file.text().await?),
        None => None,
    };
    let (config, tokenizer) = (config.text().await?, tokenizer.bytes().await?);
    let name = last(folder.trim_end_matches('/'));
    let name = if name.is_empty() { "own model" } else { name };
    Ok((name.to_owned(), Files::Folder { config, tokenizer, chat_template, tensors }, generation_config))
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
