//! Where a model lies, and its files.

use isobath::engine::EngineOptions;
use isobath::files::index::Index;
use isobath::service::{Bytes, Files, FolderFiles, Start};

use crate::browser;
use crate::fetch;
use crate::file::{Distant, Picked, Progress};

/// Where the bundled model lies beside the page.
pub const BUNDLED: &str = "stories";

const EXPECTED: &str = "a model is a folder with config.json, tokenizer.json and model.safetensors, or a .gguf file";
/// Lists the files of weights that were split.
const INDEX: &str = "model.safetensors.index.json";

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
        let (name, files) = match self {
            Self::Address(address) => fetched(address.trim().trim_end_matches('/'), progress).await?,
            Self::Files(files) => own(files).await?,
        };
        let mut start = Start::new(name, files);
        start.clock = Some(browser::local_time);
        start.options = EngineOptions { lanes, alternatives: isobath::panel::ALTERNATIVES, ..start.options };
        Ok(start)
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

async fn fetched(address: &str, progress: Progress) -> Result<(String, Files), String> {
    if address.split(['?', '#']).next().is_some_and(|path| path.to_lowercase().ends_with(".gguf")) {
        let name = last(address).to_owned();
        let bytes = Distant::remote(address, progress).await?;
        return Ok((name.clone(), Files::gguf(name, bytes)));
    }
    let folder = address.strip_suffix("/model.safetensors").unwrap_or(address);
    let at = |name: &str| format!("{folder}/{name}");
    let config = fetch::text(&at("config.json")).await?;
    let tokenizer = fetch::bytes(&at("tokenizer.json")).await?;
    // The bundled model is known to have none; elsewhere their absence is no fault.
    let text = async |name: &str| if folder == BUNDLED { None } else { optional(&at(name)).await };
    let tokenizer_config = text("tokenizer_config.json").await;
    let needs_map = tokenizer_config.as_ref().is_some_and(|text| !text.contains("added_tokens_decoder"));
    let (chat_template, generation_config) = (text("chat_template.jinja").await, text("generation_config.json").await);
    let special_tokens_map = if needs_map { text("special_tokens_map.json").await } else { None };
    let mut tensors: Vec<(String, Bytes)> = Vec::new();
    match Distant::remote(&at("model.safetensors"), progress.clone()).await {
        Ok(file) => tensors.push(("model.safetensors".into(), Box::new(file))),
        Err(why) if why.contains("answers 404") => {
            let index = fetch::text(&at(INDEX)).await.map_err(|_| why)?;
            let index = Index::parse(&index, INDEX).map_err(|error| error.to_string())?;
            for name in index.files() {
                let file = Distant::remote(&at(name), progress.clone()).await?;
                tensors.push((name.to_owned(), Box::new(file)));
            }
        }
        Err(why) => return Err(why),
    }
    let files = FolderFiles {
        config,
        tokenizer,
        chat_template,
        tokenizer_config,
        special_tokens_map,
        generation_config,
        tensors,
    };
    Ok((last(folder).to_owned(), Files::Folder(files)))
}

/// The text of a file that a model may do without; some servers answer with a page where there is none, others with any error.
async fn optional(address: &str) -> Option<String> {
    fetch::text(address).await.ok().filter(|text| !is_a_page(text))
}

async fn own(files: &[Picked]) -> Result<(String, Files), String> {
    let ends = |end: &str| files.iter().find(|file| file.name.to_lowercase().ends_with(end));
    if let Some(file) = ends(".gguf") {
        let name = last(&file.name).to_owned();
        return Ok((name.clone(), Files::gguf(name, Distant::own(&file.blob))));
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
    let name = last(folder.trim_end_matches('/'));
    let name = if name.is_empty() { "own model" } else { name };
    let files = FolderFiles {
        config: config.text().await?,
        tokenizer: tokenizer.bytes().await?,
        chat_template: text("chat_template.jinja").await?,
        tokenizer_config: text("tokenizer_config.json").await?,
        special_tokens_map: text("special_tokens_map.json").await?,
        generation_config: text("generation_config.json").await?,
        tensors,
    };
    Ok((name.to_owned(), Files::Folder(files)))
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
