//! `isobath run --batch`: many prompts in, a JSON line out for each in the order in which they end.
//!
//! **Invariant:** a line of answers is written whole or not at all, and a run that was broken off goes on behind it: no
//! prompt is answered twice, none is left out.

mod answer;
mod out;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use isobath::engine::event::{Event, FinishReason};
use isobath::engine::{Engine, EngineOptions, SequenceId};
use isobath::network::generation::Suggestion;
use isobath::service::prompts::{Line, parse};
use isobath::service::{Draft, Parts, Prompt, Settings};
use pollster::block_on;

use super::args::Run;
use super::failure;
use super::interrupt::Interrupt;
use super::length::{self, Length};
use super::open;
use super::progress::Progress;
use super::session;
use answer::Answer;

/// Sequences that wait for each lane, so that no lane does.
const WAITING: usize = 2;

/// A prompt that is being answered.
struct Open {
    line: Line,
    begun: Option<Instant>,
    prompt_tokens: usize,
    text: String,
    tokens: Vec<u32>,
    depths: Vec<u32>,
}

/// A loaded model, and how it is asked.
struct Batch<'a> {
    run: &'a Run,
    /// Those of the whole run.
    settings: Settings,
    engine: Engine,
}

/// Answers all prompts that are not answered yet.
pub fn batch(run: &Run, prompts: &Path) -> anyhow::Result<u8> {
    let text = if prompts == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(prompts) };
    let text = text.with_context(|| format!("cannot read {} as UTF-8 text", prompts.display()))?;
    let lines = parse(&text).with_context(|| prompts.display().to_string())?;
    let out::Out { mut sink, done } = out::open(run.out.as_deref(), &lines, run.loading.quiet)?;
    let mut todo: Vec<Line> = lines.into_iter().filter(|line| !done.contains(&line.number)).collect();
    if !run.loading.quiet && !done.is_empty() {
        eprintln!("{} prompts are answered already, {} are left", done.len(), todo.len());
    }
    if todo.is_empty() {
        return Ok(failure::DONE);
    }
    let place = open::of(&run.loading)?;
    let interrupt = Interrupt::listen()?;
    let drafting = run.loading.drafting(Draft::Auto);
    drafting.check()?;
    let (lanes, cache_tokens, guesses) = (run.lanes, run.cache_tokens, drafting.room());
    let options = EngineOptions { lanes, cache_tokens, guesses, ..EngineOptions::default() };
    let settings = run.choosing.settings(run.tokens, &Suggestion::default(), 0.0)?;
    let settings = Settings { ignore_end: run.ignore_end, ..settings };
    let model = session::load(&place, &run.loading, options, |parts| {
        Length::Longest(todo.iter_mut().filter_map(|line| encode(line, &settings, parts)).max().unwrap_or(0))
    })?;
    let conversation = |line: &Line| line.body.as_ref().is_ok_and(|body| body.chat);
    if model.template.is_none() && todo.iter().any(conversation) && !run.loading.quiet {
        eprintln!("{}", session::NO_TEMPLATE);
    }
    let mut batch = Batch { run, settings, engine: model.engine };
    let (answered, interrupted) = interrupt.while_writing(|interrupt| batch.answer(todo, &mut *sink, interrupt));
    answered?;
    Ok(if interrupted { failure::INTERRUPTED } else { failure::DONE })
}

impl Batch<'_> {
    fn answer(&mut self, todo: Vec<Line>, out: &mut dyn Write, interrupt: &Interrupt) -> anyhow::Result<()> {
        let mut todo = todo.into_iter();
        let mut open: HashMap<SequenceId, Open> = HashMap::new();
        let room = self.engine.lanes() as usize * (1 + WAITING);
        let mut preparing = Some(Progress::preparing(self.run.loading.quiet));
        loop {
            while open.len() < room && !interrupt.requested() {
                let Some(line) = todo.next() else { break };
                match self.submit(&line) {
                    Ok((id, prompt_tokens)) => {
                        let (text, tokens, depths) = (String::new(), vec![], vec![]);
                        open.insert(id, Open { line, begun: None, prompt_tokens, text, tokens, depths });
                    }
                    // One prompt that cannot be run is no reason to lose the others.
                    Err(error) => write_line(out, answer::refused(&line, &error))?,
                }
            }
            let next = if interrupt.requested() || open.is_empty() { None } else { block_on(self.engine.next())? };
            preparing.take().iter().for_each(Progress::end);
            let Some((id, event)) = next else { return Ok(()) };
            let Some(one) = open.get_mut(&id) else { continue };
            one.begun.get_or_insert_with(Instant::now);
            match event {
                Event::Prefill { .. } => {}
                Event::Token(token) => {
                    one.text.push_str(&token.text);
                    one.tokens.push(token.token);
                    one.depths.push(token.depth);
                }
                Event::Finished { reason, text, .. } => {
                    let Some(mut one) = open.remove(&id) else { continue };
                    one.text.push_str(&text);
                    write_line(out, self.written(one, reason)?)?;
                }
            }
        }
    }

    fn submit(&mut self, line: &Line) -> anyhow::Result<(SequenceId, usize)> {
        let body = line.body.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        // It is tokens by now, and needs no template.
        let request = body.prompt.request(&body.settings.over(&self.settings), self.engine.tokenizer(), None)?;
        let prompt_tokens = request.prompt.len();
        Ok((self.engine.submit(request)?, prompt_tokens))
    }

    /// The line for what was written.
    fn written(&self, one: Open, finish_reason: FinishReason) -> anyhow::Result<String> {
        let rounds: u32 = one.depths.iter().sum();
        let body = one.line.body.as_ref().ok();
        let loaded =
            || self.run.loading.model.as_ref().map_or("bundled".into(), |model| model.display().to_string().into());
        let answer = Answer {
            text: one.text,
            finish_reason,
            prompt_tokens: one.prompt_tokens,
            mean_depth: f64::from(rounds) / one.depths.len().max(1) as f64,
            tokens: one.tokens,
            depths: one.depths,
            seconds: one.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64()),
            chat: body.is_some_and(|body| body.chat),
            model: body.and_then(|body| body.model.clone()).unwrap_or_else(loaded),
        };
        Ok(answer::written(&one.line, &answer)?)
    }
}

/// Makes tokens of a line's prompt, so that its text need not be kept; how many it takes with its answer. A line that cannot
/// be followed is told of when it is its turn.
fn encode(line: &mut Line, run: &Settings, parts: &Parts<'_>) -> Option<u32> {
    let body = line.body.as_mut().ok()?;
    let settings = body.settings.over(run);
    match body.prompt.request(&settings, &parts.tokenizer, parts.template.as_ref()) {
        Ok(request) => {
            let tokens = (request.prompt.len() as u32).saturating_add(request.max_tokens.min(length::ANSWER));
            body.prompt = Prompt::Tokens(request.prompt);
            body.settings.stop = Some(request.stop.into());
            Some(tokens)
        }
        Err(error) => {
            line.body = Err(error.to_string());
            None
        }
    }
}

fn write_line(out: &mut dyn Write, mut line: String) -> anyhow::Result<()> {
    // In one piece, so that an end in between leaves the least behind.
    line.push('\n');
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("cannot write the answers")
}
