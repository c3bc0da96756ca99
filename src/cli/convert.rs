//! `isobath convert`: a plain model made recursive, ready to be trained further, or a recursive one unrolled.

use isobath::convert::facts::Facts;
use isobath::convert::recursive::{Recipe, Recursive, Start};
use isobath::convert::unrolled::Unrolled;
use isobath::network::config::{ModelConfig, Sharing};
use isobath::tensor::TensorSource;

use super::args::{Convert, SharingChoice, StartChoice};
use super::destination::{Destination, refuse};
use super::failure;
use super::import::with_model;
use super::loss;
use super::open::{self, Fetching};
use super::source::{self, Text};

pub fn convert(command: &Convert) -> anyhow::Result<u8> {
    let writing = &command.writing;
    let place = open::find(Some(&command.source), Fetching { revision: None, quiet: writing.quiet })?;
    let destination = Destination::new(&command.dest, writing.force, writing.quiet)?;
    let mut facts = Facts::default();
    source::open(&place, writing.tokenizer.as_deref(), &mut facts, |opened, facts| {
        with_model(opened, facts, &mut |config, source, text, _| {
            let write = |made: &ModelConfig, tensors: &dyn TensorSource| {
                println!("{}", destination.write(made, tensors, text, command.dtype)?);
                anyhow::Ok(())
            };
            if command.merge {
                let unrolled = Unrolled::new(config, source)?;
                write(unrolled.config(), &unrolled)?;
            } else {
                let made = Recursive::new(config, source, recipe(command)?)?;
                if !writing.quiet {
                    print_shape(config, &made);
                }
                write(made.config(), &made)?;
            }
            compare(command, config, source, text)
        })
    })?;
    Ok(failure::DONE)
}

fn compare(command: &Convert, config: &ModelConfig, source: &dyn TensorSource, text: &Text) -> anyhow::Result<()> {
    loss::compare(&command.writing, &command.source, &command.dest, config, source, text)
}

fn recipe(command: &Convert) -> anyhow::Result<Recipe> {
    let start = command.start.unwrap_or(match command.rank {
        0 => StartChoice::Stepwise,
        _ => StartChoice::Average,
    });
    Ok(Recipe {
        count: command.recursions.ok_or_else(|| refuse("--recursions is missing"))?,
        sharing: match command.sharing {
            SharingChoice::Cycle => Sharing::Cycle,
            SharingChoice::Sequence => Sharing::Sequence,
            SharingChoice::MiddleCycle => Sharing::MiddleCycle,
            SharingChoice::MiddleSequence => Sharing::MiddleSequence,
        },
        start: match start {
            StartChoice::Stepwise => Start::Stepwise,
            StartChoice::Average => Start::Average,
            StartChoice::Lower => Start::Lower,
            StartChoice::Upper => Start::Upper,
        },
        share_norms: !command.own_norms,
        rank: command.rank,
    })
}

fn print_shape(config: &ModelConfig, made: &Recursive<'_>) {
    let layers = made.config().n_layers;
    if layers != config.n_layers {
        let kept: Vec<String> = made.picked().iter().map(ToString::to_string).collect();
        eprintln!("{} layers become {layers}: kept {}", config.n_layers, kept.join(" "));
    }
    let block = made.config().block_layers();
    eprintln!("{layers} unrolled layers, {block} in the shared block, {} recursions", made.config().n_recursions());
}
