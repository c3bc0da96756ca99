//! What a change of a model costs: the loss of a text before and after.

use std::fs;
use std::path::Path;

use anyhow::Context;
use isobath::convert::facts::Facts;
use isobath::engine::{Engine, EngineOptions};
use isobath::eval::{Figures, Way, Windows};
use isobath::gpu::Gpu;
use isobath::network::config::ModelConfig;
use isobath::tensor::TensorSource;
use isobath::text::Tokenizer;
use pollster::block_on;

use super::args::Writing;
use super::import::with_model;
use super::open::{self, Fetching};
use super::progress::Progress;
use super::source::{self, Text};

/// Tokens of a window.
const WINDOW: u32 = 512;
/// Bytes of the logits that are computed at once.
const LOGITS: u32 = 64 << 20;

/// Judges the source as it was read and the destination as it was written, where that was asked for.
pub fn compare(
    writing: &Writing,
    source: &Path,
    dest: &Path,
    config: &ModelConfig,
    tensors: &dyn TensorSource,
    text: &Text,
) -> anyhow::Result<()> {
    let Some(path) = &writing.measure else { return Ok(()) };
    let words = fs::read_to_string(path).with_context(|| format!("cannot read {} as UTF-8 text", path.display()))?;
    let before = judge(writing, &words, config, tensors, text)?;
    let mut after = None;
    source::open(&open::find(Some(dest), Fetching::default())?, None, &mut Facts::default(), |opened, facts| {
        with_model(opened, facts, &mut |config, tensors, text, _| {
            after = Some(judge(writing, &words, config, tensors, text)?);
            Ok(())
        })
    })?;
    let after = after.context("the model that was written could not be judged")?;
    println!("\n| model | loss | perplexity | bits per byte | mean depth |\n| --- | --- | --- | --- | --- |");
    for (path, figures) in [(source, &before), (dest, &after)] {
        println!(
            "| {} | {:.4} | {:.3} | {:.4} | {:.3} |",
            path.display(),
            figures.loss,
            figures.perplexity,
            figures.bits_per_byte,
            figures.mean_depth
        );
    }
    println!(
        "\nLoss {:+.4} nats per token over {} tokens, perplexity {:+.2} %.",
        after.loss - before.loss,
        after.tokens,
        100.0 * (after.perplexity / before.perplexity - 1.0)
    );
    Ok(())
}

fn judge(
    writing: &Writing,
    words: &str,
    config: &ModelConfig,
    tensors: &dyn TensorSource,
    text: &Text,
) -> anyhow::Result<Figures> {
    let tokenizer = Tokenizer::from_json(&text.json()?)?;
    let gpu = block_on(Gpu::open(writing.adapter.as_deref()))?;
    let window = config.context_length.min(WINDOW);
    let heads = (LOGITS / 4 / config.vocab_size.max(1)).max(1);
    let options = EngineOptions { context: Some(window), max_rows: window, heads, ..EngineOptions::default() };
    let bar = Progress::new(writing.quiet);
    let loaded = block_on(Engine::load(gpu, config, tensors, tokenizer, options, &mut |done, all| bar.set(done, all)));
    bar.end();
    let mut engine = loaded?;
    let end = config.end_tokens.first().and_then(|token| engine.tokenizer().token_text(*token));
    let windows = Windows::of(engine.tokenizer(), end.as_deref(), words, window, writing.windows)?;
    let bar = Progress::counting(writing.quiet, "judging");
    let total = windows.windows.len() as u64;
    let scores = block_on(windows.judge(&mut engine, Way::Adaptive, &mut |done| bar.set(done as u64, total)));
    bar.end();
    Ok(Figures::of(Way::Adaptive, &scores?, engine.tokenizer(), engine.plan().n_rounds()))
}
