//! `isobath draft`: a kit, by which a model's tokens can be guessed before all of its layers have run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use isobath::draft::answers::answers;
use isobath::draft::import::{self, Folder, Found};
use isobath::draft::predictors::{self, Settled};
use isobath::draft::{Head, Recipe, make};
use isobath::engine::{Engine, EngineOptions};
use isobath::eval::Windows;
use isobath::files::index::WeightFile;
use isobath::files::kit;
use isobath::network::kit::{About, KIT_JSON, KIT_TENSORS, Kit, LEVELS, ModelFacts, PartAbout, fingerprint};
use isobath::network::plan::Plan;
use isobath::service::{Model, Parts, Prompt, Settings};
use isobath::text::Message;
use pollster::block_on;
use serde_json::{Value, json};

use super::args::MakeKit;
use super::destination::{Part, size};
use super::failure;
use super::length::Length;
use super::open::{self, Place};
use super::progress::Progress;
use super::session;

/// Tokens of a window, where neither the caller nor the model asks for less.
const WINDOW: u32 = 256;
/// Bytes of the logits that are computed at once.
const LOGITS: u32 = 64 << 20;

/// Tokens that predictors are made from.
const SETTLED: u32 = 8192;
/// Numbers between the two linears of a predictor.
const INNER: usize = 64;
/// Prompts that are answered side by side.
const LANES: u32 = 8;

/// What is known of a model before it is on a GPU.
struct Known {
    facts: ModelFacts,
    head: Head,
    context: u32,
}

pub fn draft(command: &MakeKit) -> anyhow::Result<u8> {
    let taken = command.out.join(KIT_JSON).exists();
    anyhow::ensure!(command.force || !taken, "{} is there already; --force overwrites it", command.out.display());
    anyhow::ensure!(!command.out.is_file(), "{} is a file; name a folder", command.out.display());
    let place = open::of(&command.loading)?;
    match &command.import {
        Some(heads) => import(command, &place, heads),
        None => learn(command, &place),
    }?;
    Ok(failure::DONE)
}

/// Makes a kit out of a text.
fn learn(command: &MakeKit, place: &Place) -> anyhow::Result<()> {
    let path = command.text.clone().map_or_else(open::held_out, Ok)?;
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {} as UTF-8 text", path.display()))?;
    let known = known(place, command.head_rows)?;
    let window = command.window.unwrap_or_else(|| known.context.min(WINDOW));
    let mut model = load(command, place, &known.facts, window)?;
    let windows = match command.own_answers {
        true => own_answers(command, &mut model, &text, window),
        false => windows(command, &model.engine, &text, window),
    }?;
    let exits = match command.exits[..] {
        [] => Recipe::usual_exits(known.facts.rounds),
        [0] => vec![],
        _ => command.exits.clone(),
    };
    let recipe = Recipe { jump: true, exits, ridge: command.ridge };
    let bar = Progress::counting(command.loading.quiet, "reading");
    let mut progress = |done: usize, total: usize| bar.set(done as u64, total as u64);
    let made = block_on(make(&mut model.engine, known.facts, &known.head, &windows, &recipe, &mut progress));
    let mut made = made?;
    if !command.predictors.is_empty() {
        let windows_read = SETTLED.div_ceil(window.max(1)) as usize;
        let settled =
            Settled { depths: command.predictors.clone(), inner: INNER, meta: command.meta, windows: windows_read };
        block_on(predictors::add(&mut model.engine, &mut made, &known.head, &windows, &settled, &mut progress))?;
    }
    bar.end();
    let tokens = windows.iter().map(Vec::len).sum::<usize>();
    let bytes = write(&command.out, &made)?;
    print(command, place, Some(tokens), &made, bytes);
    Ok(())
}

fn load(command: &MakeKit, place: &Place, facts: &ModelFacts, window: u32) -> anyhow::Result<Model> {
    let mut loading = command.loading.clone();
    loading.context = Some(loading.context.unwrap_or(window).max(window));
    let heads = (LOGITS / 4 / facts.vocab_size.max(1)).clamp(1, window.max(1));
    let lanes = if command.own_answers { LANES } else { 1 };
    let options = EngineOptions { max_rows: window, lanes, heads: heads.max(lanes), ..EngineOptions::default() };
    session::load(place, &loading, options, |_| Length::Usual)
}

fn windows(command: &MakeKit, engine: &Engine, text: &str, window: u32) -> anyhow::Result<Vec<Vec<u32>>> {
    let tokenizer = engine.tokenizer();
    let end = tokenizer.eos_token().or(engine.config().end_tokens.first().copied());
    let end = end.and_then(|token| tokenizer.token_text(token));
    let most = command.tokens.map(|tokens| tokens.div_ceil(window.max(1)));
    Ok(Windows::of(tokenizer, end.as_deref(), text, window, most)?.windows)
}

/// The model's answers to the lines of a text.
fn own_answers(command: &MakeKit, model: &mut Model, text: &str, window: u32) -> anyhow::Result<Vec<Vec<u32>>> {
    let mut prompts = vec![];
    let mut tokens = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let prompt = match model.template {
            Some(_) => Prompt::Chat(vec![Message::new("user", line)]),
            None => Prompt::from(line),
        };
        let prompt = model.request(prompt, &Settings::default())?.prompt;
        // A prompt that leaves no room for an answer is none.
        if prompt.is_empty() || prompt.len() as u32 + 1 >= window {
            continue;
        }
        if command.tokens.is_some_and(|most| tokens >= most) {
            break;
        }
        tokens += window;
        prompts.push(prompt);
    }
    let bar = Progress::counting(command.loading.quiet, "answering");
    let total = prompts.len() as u64;
    let answered = block_on(answers(&mut model.engine, &prompts, window, &mut |done| bar.set(done as u64, total)));
    bar.end();
    Ok(answered?)
}

/// Makes a kit out of heads that others have trained.
fn import(command: &MakeKit, place: &Place, heads: &Path) -> anyhow::Result<()> {
    let files = place.files()?;
    let parts = block_on(files.read(None))?;
    let facts = facts(&parts)?;
    let folder = if heads.is_dir() { heads } else { heads.parent().unwrap_or(Path::new(".")) };
    let mut paths: Vec<PathBuf> = vec![heads.to_owned()];
    if heads.is_dir() {
        let entries = fs::read_dir(heads).with_context(|| format!("cannot read {}", heads.display()))?;
        let kinds = ["safetensors", "bin", "pt", "pth"];
        let is_tensors = |path: &PathBuf| path.extension().is_some_and(|kind| kinds.iter().any(|known| kind == *known));
        paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_tensors).collect();
        paths.sort();
    }
    let shown = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let bytes = paths.iter().map(|path| open::map(path)).collect::<Result<Vec<_>, _>>()?;
    let opened = paths.iter().zip(&bytes).map(|(path, bytes)| WeightFile::parse(bytes, &path.display().to_string()));
    let opened = opened.collect::<Result<Vec<_>, _>>()?;
    let found = paths.iter().zip(&opened).map(|(path, tensors)| Found { name: shown(path), tensors }).collect();
    let json = |name: &str| -> anyhow::Result<Option<Value>> {
        let path = folder.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?))
    };
    let folder = Folder { files: found, config: json("config.json")?, calibration: json("calibration.json")? };
    let (made, notes) = import::import(&folder, &parts.config, &facts)?;
    if !command.loading.quiet {
        notes.iter().for_each(|note| eprintln!("{note}"));
    }
    let bytes = write(&command.out, &made)?;
    print(command, place, None, &made, bytes);
    Ok(())
}

/// Reads what no GPU is needed for.
fn known(place: &Place, head_rows: u32) -> anyhow::Result<Known> {
    let files = place.files()?;
    let parts = block_on(files.read(None))?;
    let (facts, plan) = (facts(&parts)?, Plan::of(&parts.config)?);
    let head = block_on(Head::read(&*parts.tensors, head_rows.clamp(1, facts.vocab_size), &plan.form))?;
    Ok(Known { facts, head, context: parts.config.context_length })
}

fn facts(parts: &Parts<'_>) -> anyhow::Result<ModelFacts> {
    let rounds = Plan::of(&parts.config)?.n_rounds();
    Ok(ModelFacts::of(&parts.config, rounds, &block_on(fingerprint(&parts.config, &*parts.tensors))?))
}

/// Writes a kit's files, under other names first; kit.json comes last: a folder without it is no kit. Returns their bytes.
pub fn write(folder: &Path, made: &Kit) -> anyhow::Result<u64> {
    let (json, tensors) = kit::write(made)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut parts = vec![];
    for (name, bytes) in [(KIT_TENSORS, &tensors[..]), (KIT_JSON, json.as_bytes())] {
        parts.push(Part::written(&folder.join(name), bytes)?);
    }
    parts.iter_mut().try_for_each(Part::finish)?;
    Ok((json.len() + tensors.len()) as u64)
}

fn print(command: &MakeKit, place: &Place, tokens: Option<usize>, made: &Kit, bytes: u64) {
    let about = About::of(made);
    if command.json {
        let (kit, model) = (command.out.display().to_string(), place.path().display().to_string());
        println!(
            "{}",
            json!({ "kit": kit, "model": model, "tokens": tokens, "bytes": bytes, "head_rows": about.head_rows, "parts": about.parts })
        );
        return;
    }
    let from = tokens.map_or(String::new(), |tokens| format!(", from {tokens} tokens, one in ten held out"));
    println!("{}: {}{from}", command.out.display(), size(bytes));
    println!("guesses read {} of {} rows of the head\n", about.head_rows, about.model.vocab_size);
    let levels: Vec<String> = LEVELS.iter().map(|level| format!("{:.0} %", 100.0 * level)).collect();
    println!("| part | agrees | {} |", levels.join(" | "));
    println!("|{}", " --- |".repeat(2 + levels.len()));
    about.parts.iter().for_each(|part| println!("| {} |", cells(part).join(" | ")));
    println!(
        "\nunder each share of right guesses: the confidence from which on they are right so often, and how many are that sure"
    );
}

/// A part's row of the table.
fn cells(part: &PartAbout) -> Vec<String> {
    let (PartAbout::Jump { calibration }
    | PartAbout::Exit { calibration, .. }
    | PartAbout::OwnLayer { calibration, .. }
    | PartAbout::Predictor { calibration, .. }
    | PartAbout::Meta { calibration }) = part;
    let mut cells =
        vec![part.name(), calibration.agreement.map_or("-".into(), |share| format!("{:.1} %", 100.0 * share))];
    for level in 0..LEVELS.len() {
        let mark = calibration.thresholds.get(level).and_then(|threshold| threshold.confidence);
        cells.push(mark.map_or("-".into(), |mark| {
            let covered = mark.coverage.map_or(String::new(), |share| format!(", {:.0} %", 100.0 * share));
            // Below 0 every guess passes.
            format!("{:.2}{covered}", mark.at.max(0.0))
        }));
    }
    cells
}
