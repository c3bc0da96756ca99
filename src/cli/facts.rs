//! What a model's files say, each by itself, so that one that cannot be read hides nothing of the others.

use std::path::Path;

use isobath::error::{Error, ModelError};
use isobath::files::gguf::Gguf;
use isobath::files::safetensors::Folder;
use isobath::network::config::ModelConfig;
use isobath::network::generation::Generation;
use isobath::network::names::check_tensors;
use isobath::service::generation;
use isobath::tensor::TensorSource;
use isobath::text::Tokenizer;

use super::inspect::{EndFact, Facts, TensorFact};
use super::open::{self, Place};

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
        let generation = generation(open::generation_config(folder)?.as_deref(), &mut config)?;
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
