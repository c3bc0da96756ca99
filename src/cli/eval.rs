//! `isobath eval`: loss at every depth, what depth buys, and every token with its depth.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use isobath::engine::score::Score;
use isobath::engine::{Engine, EngineOptions};
use isobath::error::RequestError;
use isobath::eval::{Figures, Way, Windows, agreement, thresholds};
use isobath::network::gate::{Gate, TRAINED};
use pollster::block_on;
use serde_json::{Value, json};

use super::args::{Eval, TableFormat};
use super::failure;
use super::length::Length;
use super::open::{self, Fetching, Place};
use super::{facts, session};

/// Tokens of a window, where neither the caller nor the model asks for less.
const WINDOW: u32 = 512;
/// Bytes of the logits that are computed at once.
const LOGITS: u32 = 64 << 20;

/// All scores of one way of deciding.
type Scores = Vec<Vec<Score>>;

/// A model at work on a text.
struct Judge<'a> {
    command: &'a Eval,
    engine: Engine,
    windows: Windows,
    figures: Vec<Figures>,
}

pub fn eval(command: &Eval) -> anyhow::Result<u8> {
    let (place, text) = sources(command)?;
    let mut loading = command.loading.clone();
    let config = facts::facts(&place)?.config;
    let window = command
        .window
        .or(loading.context)
        .unwrap_or_else(|| config.as_ref().map_or(WINDOW, |config| config.context_length.min(WINDOW)));
    loading.context = Some(window);
    let vocabulary = config.map_or(u32::MAX / 4, |config| config.vocab_size);
    let heads = (LOGITS / 4 / vocabulary.max(1)).max(1);
    let options = EngineOptions { max_rows: window, heads, ..EngineOptions::default() };
    let engine = session::load(&place, &loading, options, |_| Length::Usual)?.engine;
    let tokenizer = engine.tokenizer();
    let end = tokenizer.eos_token().or(engine.config().end_tokens.first().copied());
    let end = end.and_then(|token| tokenizer.token_text(token));
    let windows = Windows::of(tokenizer, end.as_deref(), &text, window, command.windows)?;
    let mut judge = Judge { command, engine, windows, figures: vec![] };
    let agrees = judge.all()?;
    judge.print(&place, window, agrees);
    Ok(failure::DONE)
}

/// Model and text: a lone path that is not a model is the text.
fn sources(command: &Eval) -> anyhow::Result<(Place, String)> {
    let model = command.loading.model.as_deref();
    let lone = model.filter(|path| {
        command.text.is_none() && path.is_file() && open::find(Some(path), Fetching::default()).is_err()
    });
    let place = if lone.is_some() { open::find(None, Fetching::default()) } else { open::of(&command.loading) }?;
    let path = match lone.or(command.text.as_deref()) {
        Some(path) => path.to_owned(),
        None => open::held_out()?,
    };
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {} as UTF-8 text", path.display()))?;
    Ok((place, text))
}

impl Judge<'_> {
    /// Judges every way; returns how often threshold and top-k agree.
    fn all(&mut self) -> anyhow::Result<Option<f64>> {
        let rounds = self.engine.plan().n_rounds();
        let adaptive = self.judge(Way::Adaptive)?;
        let depths = if self.command.depths.is_empty() { (1..=rounds).collect() } else { self.command.depths.clone() };
        let mut fixed = vec![];
        for &depth in &depths {
            fixed.push((depth, self.judge(Way::Fixed(depth))?));
        }
        if let Some(path) = &self.command.tokens {
            self.write_tokens(path, &adaptive, &fixed).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let mut agrees = None;
        // The best of a text by the trained gate's scores say nothing of another gate.
        let trained = self.engine.gate().is_some_and(|gate| gate.name == TRAINED);
        if trained && self.engine.plan().together.is_some() {
            let top_k = self.judge(Way::TopK)?;
            agrees = agreement(&self.engine, &top_k);
        }
        if self.command.sweep > 0 {
            if !self.engine.gate().is_some_and(Gate::has_thresholds) {
                let range = "0: this model has no gate whose threshold could be moved".into();
                let value = self.command.sweep.to_string();
                return Err(RequestError::Setting { name: "sweep", value, range }.into());
            }
            for threshold in thresholds(&adaptive, self.command.sweep) {
                self.judge(Way::Threshold(threshold))?;
            }
        }
        Ok(agrees)
    }

    fn judge(&mut self, way: Way) -> anyhow::Result<Scores> {
        let bar = super::progress::Progress::counting(self.command.loading.quiet, &name(way));
        let total = self.windows.windows.len() as u64;
        let mut progress = |done: usize| bar.set(done as u64, total);
        let scores = block_on(self.windows.judge(&mut self.engine, way, &mut progress));
        bar.end();
        let scores = scores?;
        let rounds = self.engine.plan().n_rounds();
        self.figures.push(Figures::of(way, &scores, self.engine.tokenizer(), rounds));
        Ok(scores)
    }

    fn write_tokens(&self, path: &Path, adaptive: &Scores, fixed: &[(u32, Scores)]) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for (window, scores) in adaptive.iter().enumerate() {
            for (place, score) in scores.iter().enumerate() {
                let mut line = serde_json::to_value(score)?;
                line["window"] = window.into();
                line["text"] = self.engine.tokenizer().token_text(score.token).into();
                line["at_depth"] = fixed
                    .iter()
                    .map(|(depth, scores)| (depth.to_string(), json!(scores[window][place].log_probability)))
                    .collect::<serde_json::Map<_, _>>()
                    .into();
                writeln!(file, "{line}")?;
            }
        }
        Ok(file.flush()?)
    }

    fn print(&self, place: &Place, window: u32, agrees: Option<f64>) {
        let tokens = self.figures.first().map_or(0, |figures| figures.tokens);
        let head = json!({
            "model": place.path().display().to_string(), "adapter": self.engine.gpu().description(),
            "gate": self.engine.gate().map(|gate| gate.name),
            "windows": self.windows.windows.len(), "window": window, "tokens": tokens,
            "agreement_of_threshold_and_top_k": agrees,
        });
        match self.command.output {
            TableFormat::Json => {
                let mut all = head;
                all["figures"] = json!(self.figures);
                println!("{all}");
            }
            TableFormat::Csv => {
                println!("depth,loss,perplexity,bits per byte,mean depth,shares");
                self.figures.iter().for_each(|figures| println!("{}", cells(figures).join(",")));
            }
            TableFormat::Md => {
                let by = head["gate"].as_str().map(|gate| format!(", gate {gate}")).unwrap_or_default();
                println!("{} on {}{by}", field(&head["model"]), field(&head["adapter"]));
                println!("{tokens} tokens in {} windows of at most {window}\n", head["windows"]);
                println!("| depth | loss | perplexity | bits per byte | mean depth | shares |");
                println!("|{}", " --- |".repeat(6));
                self.figures.iter().for_each(|figures| println!("| {} |", cells(figures).join(" | ")));
                if let Some(agrees) = agrees {
                    println!("\nThreshold and top-k routing decide alike on {:.2} % of the tokens.", 100.0 * agrees);
                }
            }
        }
    }
}

fn field(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn name(way: Way) -> String {
    match way {
        Way::Adaptive => "adaptive".into(),
        Way::Fixed(depth) => format!("{depth}"),
        Way::TopK => "top-k".into(),
        Way::Threshold(threshold) => format!("threshold {threshold:.3}"),
    }
}

fn cells(figures: &Figures) -> Vec<String> {
    // Shares of a fixed depth say nothing, and a deep stack has many.
    let shown = !matches!(figures.way, Way::Fixed(_)) && figures.depth_shares.len() <= 6;
    let shares = figures.depth_shares.iter().zip(0..).skip(usize::from(figures.depth_shares[0] == 0.0));
    let shares: Vec<String> = shares.map(|(share, depth)| format!("{depth}: {:.1} %", 100.0 * share)).collect();
    vec![
        name(figures.way),
        format!("{:.4}", figures.loss),
        format!("{:.3}", figures.perplexity),
        format!("{:.4}", figures.bits_per_byte),
        format!("{:.3}", figures.mean_depth),
        if shown { shares.join("; ") } else { String::new() },
    ]
}
