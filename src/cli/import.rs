//! `isobath import`: a model of others in Isobath's format or as GGUF, quantised on the way where that is asked for.

use std::fs;

use anyhow::Context;
use isobath::convert::facts::Facts;
use isobath::convert::import::import as read;
use isobath::convert::training;
use isobath::files::write::ExportType;
use isobath::network::config::ModelConfig;
use isobath::tensor::TensorSource;

use super::args::Import;
use super::destination::{Destination, refuse};
use super::failure;
use super::loss;
use super::open::{self, Fetching};
use super::source::{self, Opened, Settings, Text};

pub fn import(command: &Import) -> anyhow::Result<u8> {
    let writing = &command.writing;
    let place = open::find(Some(&command.source), Fetching { revision: None, quiet: writing.quiet })?;
    let destination = Destination::new(&command.dest, writing.force, writing.quiet)?;
    let mut facts = Facts::default();
    command.set.iter().try_for_each(|words| facts.add_words(words, "--set"))?;
    if let Some(path) = &command.training {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {} as UTF-8", path.display()))?;
        training::read(&text, &path.display().to_string(), &mut facts)?;
    }
    let export = command.dtype.unwrap_or(ExportType::Keep);
    source::open(&place, writing.tokenizer.as_deref(), &mut facts, |opened, facts| {
        with_model(opened, facts, &mut |config, source, text, notes| {
            if !writing.quiet {
                notes.iter().for_each(|line| eprintln!("{line}"));
                if notes.iter().any(|line| line.contains("by assumption")) {
                    eprintln!("help: {}", failure::SETTINGS);
                }
            }
            println!("{}", destination.write(config, source, text, export)?);
            loss::compare(writing, &command.source, &command.dest, config, source, text)
        })
    })?;
    Ok(failure::DONE)
}

/// What is done with a model once it is known what it is.
pub type Then<'t> = &'t mut dyn FnMut(&ModelConfig, &dyn TensorSource, &Text, &[String]) -> anyhow::Result<()>;

/// Completes the settings of a model that does not describe itself.
pub fn with_model(opened: Opened<'_>, facts: &Facts, then: Then<'_>) -> anyhow::Result<()> {
    let Opened { settings, tensors, text } = opened;
    match settings {
        Settings::Complete(config) => {
            if let Some(fact) = facts.all().next() {
                return Err(refuse(format!(
                    "the source describes itself completely; leave out {} by {}",
                    fact.path, fact.origin
                )));
            }
            then(&config, tensors, &text, &[])
        }
        Settings::Partial(json) => {
            let imported = read(tensors, json.as_deref(), facts.clone())?;
            then(&imported.config, &imported.source, &text, &imported.notes)
        }
    }
}
