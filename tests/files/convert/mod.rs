//! Models out of models: what is imported computes what the original did, what is written for llama.cpp is read by it,
//! and a dense model becomes a recursive one and comes back.

mod command;
mod import;
mod llama;
mod recursive;

use std::fs;
use std::path::Path;

use isobath::error::ModelError;
use isobath::files::safetensors::Safetensors;
use isobath::files::write::Loose;
use isobath::judge::{Judge, Sequence};
use isobath::network::config::ModelConfig;
use isobath::network::plan::Plan;
use isobath::runtime::step::Depth;
use isobath::tensor::{Tensor, TensorSource};

/// Tensors of files, as they are named there.
fn tensors(paths: &[&Path]) -> Vec<(String, Tensor<'static>)> {
    let mut found = Vec::new();
    for path in paths {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = Safetensors::parse(&bytes, &path.display().to_string()).unwrap();
        for name in file.names() {
            let tensor = file.tensor(&name).unwrap().unwrap();
            found.push((name, Tensor { data: tensor.data.into_owned().into(), ..tensor }));
        }
    }
    found
}

fn loose(tensors: Vec<(String, Tensor<'static>)>) -> Loose<'static> {
    Loose::new(tensors).unwrap()
}

/// Logits of all tokens on the CPU judge.
fn logits(config: &ModelConfig, source: &dyn TensorSource, tokens: &[u32], depth: Depth) -> Vec<f32> {
    let plan = Plan::of(config).unwrap();
    let judge = Judge::new(config, &plan, source, 64).unwrap();
    judge.run(&mut Sequence::default(), tokens, depth).logits.concat()
}

fn farthest(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    // A NaN must not be taken for nearness.
    one.iter()
        .zip(other)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |a, b| if b.is_nan() { f32::INFINITY } else { a.max(b) })
}

/// The error's text holds every part.
#[track_caller]
fn says<T>(result: Result<T, ModelError>, parts: &[&str]) {
    let Err(error) = result else { panic!("no error, wanted {parts:?}") };
    let message = error.to_string();
    parts.iter().for_each(|part| assert!(message.contains(part), "`{part}` is not in: {message}"));
}
