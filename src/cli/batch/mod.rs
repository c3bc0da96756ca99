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
use isobath::engine::prompts::{Input, Line, parse};
use isobath::engine::request::{Request, Sampling};
use isobath::engine::{Engine, EngineOptions, SequenceId};
use isobath::error::TextError;
use isobath::text::{ChatTemplate, Tokenizer, chat};
use pollster::block_on;

use super::args::Run;
use super::failure;
use super::interrupt::Interrupt;
use super::length::{self, Length};
use super::open::Place;
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
    engine: Engine,
    template: Option<ChatTemplate>,
}

/// Answers all prompts that are not answered yet.
pub fn batch(run: &Run, prompts: &Path) -> anyhow::Result<u8> {
    let text = if prompts == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(prompts) };
    let text = text.with_context(|| format!("cannot read {} as UTF-8 text", prompts.display()))?;
    let lines = parse(&text).with_context(|| prompts.display().to_string())?;
    let out::Out { mut sink, done } = out::open(run.out.as_deref(), &lines, run.loading.quiet)?;
    let todo: Vec<Line> = lines.into_iter().filter(|line| !done.contains(&line.number)).collect();
    if !run.loading.quiet && !done.is_empty() {
        eprintln!("{} prompts are answered already, {} are left", done.len(), todo.len());
    }
    if todo.is_empty() {
        return Ok(failure::DONE);
    }
    let place = Place::of(&run.loading)?;
    let interrupt = Interrupt::listen()?;
    let options = EngineOptions { lanes: run.lanes, cache_tokens: run.cache_tokens, ..EngineOptions::default() };
    // A line that cannot be read is told of when it is its turn.
    let needs = |line: &Line, tokenizer: &Tokenizer, template: Option<&ChatTemplate>| {
        let prompt = line.prompt.as_ref().ok()?;
        let tokens = encode(&prompt.input, tokenizer, template).ok()?.len() as u32;
        Some(tokens.saturating_add(prompt.settings.tokens.unwrap_or(run.tokens).min(length::ANSWER)))
    };
    let longest = |tokenizer: &Tokenizer, template: Option<&ChatTemplate>| {
        todo.iter().filter_map(|line| needs(line, tokenizer, template)).max().unwrap_or(0)
    };
    let (engine, template) = session::engine_and_template(&place, &run.loading, Length::Longest(&longest), options)?;
    let conversations =
        |line: &Line| line.prompt.as_ref().is_ok_and(|prompt| matches!(prompt.input, Input::Messages(_)));
    if template.is_none() && todo.iter().any(conversations) && !run.loading.quiet {
        eprintln!("{}", session::NO_TEMPLATE);
    }
    let mut batch = Batch { run, engine, template };
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
            let told = if interrupt.requested() || open.is_empty() { None } else { block_on(self.engine.next())? };
            preparing.take().iter().for_each(Progress::end);
            let Some((id, event)) = told else { return Ok(()) };
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
        let prompt = line.prompt.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        let (own, given) = (&prompt.settings, self.run.choosing.sampling(0.0)?);
        let mut stop = own.stop.clone().unwrap_or_else(|| self.run.choosing.stop.clone());
        if self.template.is_none() && matches!(prompt.input, Input::Messages(_)) {
            stop.push(session::NEXT_TURN.to_owned());
        }
        let tokens = encode(&prompt.input, self.engine.tokenizer(), self.template.as_ref())?;
        let request = Request {
            prompt: tokens,
            max_tokens: own.tokens.unwrap_or(self.run.tokens),
            sampling: Sampling {
                temperature: own.temperature.unwrap_or(given.temperature),
                top_k: own.top_k.unwrap_or(given.top_k),
                top_p: own.top_p.unwrap_or(given.top_p),
                min_p: own.min_p.unwrap_or(given.min_p),
                repeat_penalty: own.repeat_penalty.unwrap_or(given.repeat_penalty),
                seed: own.seed.unwrap_or(given.seed),
            },
            stop,
            ignore_end: self.run.ignore_end,
            depth: own.depth.or(self.run.choosing.depth()?),
            routing: self.run.choosing.routing(),
            priority: own.priority.unwrap_or(0),
        };
        let prompt_tokens = request.prompt.len();
        Ok((self.engine.submit(request)?, prompt_tokens))
    }

    /// The line for what was written.
    fn written(&self, one: Open, finish_reason: FinishReason) -> anyhow::Result<String> {
        let rounds: u32 = one.depths.iter().sum();
        let prompt = one.line.prompt.as_ref().ok();
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
            chat: prompt.is_some_and(|prompt| matches!(prompt.input, Input::Messages(_))),
            model: prompt.and_then(|prompt| prompt.model.clone()).unwrap_or_else(loaded),
        };
        Ok(answer::written(&one.line, &answer)?)
    }
}

/// The tokens of a prompt.
fn encode(input: &Input, tokenizer: &Tokenizer, template: Option<&ChatTemplate>) -> Result<Vec<u32>, TextError> {
    match (input, template) {
        (Input::Text(text), _) => tokenizer.encode_prompt(text, true),
        (Input::Tokens(tokens), _) => Ok(tokens.clone()),
        // The template writes the begin-of-sequence token itself where the model wants one.
        (Input::Messages(messages), Some(template)) => tokenizer.encode(&template.render(messages, true)?, true),
        (Input::Messages(messages), None) => tokenizer.encode_prompt(&chat::transcript(messages), true),
    }
}

fn write_line(out: &mut dyn Write, mut line: String) -> anyhow::Result<()> {
    // In one piece, so that an end in between leaves the least behind.
    line.push('\n');
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("cannot write the answers")
}
