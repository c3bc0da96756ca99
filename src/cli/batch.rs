//! `isobath run --batch`: many prompts in, a JSON line out for each in the order in which they end.
//!
//! **Invariant:** a line of answers is written whole or not at all, and a run that was broken off goes on behind it: no
//! prompt is answered twice, none is left out.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use isobath::engine::event::{Event, FinishReason};
use isobath::engine::prompts::{Line, parse};
use isobath::engine::request::Request;
use isobath::engine::{Engine, EngineOptions, SequenceId};
use pollster::block_on;
use serde::Serialize;
use serde_json::{Value, json};

use super::args::Run;
use super::failure;
use super::interrupt::Interrupt;
use super::open::Place;
use super::session;

/// Sequences that wait for each lane, so that no lane does.
const WAITING: usize = 2;

/// One line of the answers.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    line: usize,
    hash: &'a str,
    id: &'a Value,
    text: String,
    finish_reason: FinishReason,
    prompt_tokens: usize,
    tokens: Vec<u32>,
    depths: Vec<u32>,
    mean_depth: f64,
    /// From the first tick that read its prompt to its end.
    seconds: f64,
}

/// A prompt that is being answered.
struct Open {
    line: Line,
    begun: Option<Instant>,
    prompt_tokens: usize,
    text: String,
    tokens: Vec<u32>,
    depths: Vec<u32>,
}

/// Answers all prompts that are not answered yet.
pub fn batch(run: &Run, prompts: &Path) -> anyhow::Result<u8> {
    let text = std::fs::read_to_string(prompts);
    let text = text.with_context(|| format!("cannot read {} as UTF-8 text", prompts.display()))?;
    let lines = parse(&text).with_context(|| prompts.display().to_string())?;
    let (mut out, done) = match &run.out {
        None => (Box::new(io::stdout().lock()) as Box<dyn Write>, HashSet::new()),
        Some(path) => {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
            let done = resume(&mut file, &lines).with_context(|| path.display().to_string())?;
            (Box::new(file) as Box<dyn Write>, done)
        }
    };
    let todo: Vec<Line> = lines.into_iter().filter(|line| !done.contains(&line.number)).collect();
    if !run.loading.quiet && !done.is_empty() {
        eprintln!("{} prompts are answered already, {} are left", done.len(), todo.len());
    }
    if todo.is_empty() {
        return Ok(failure::DONE);
    }
    let place = Place::of(&run.loading)?;
    let interrupt = Interrupt::listen()?;
    let options = EngineOptions { lanes: run.lanes, ..EngineOptions::default() };
    let mut engine = session::engine(&place, &run.loading, options)?;
    let (answered, interrupted) =
        interrupt.while_writing(|interrupt| answer(run, &mut engine, todo, &mut *out, interrupt));
    answered?;
    Ok(if interrupted { failure::INTERRUPTED } else { failure::DONE })
}

/// Numbers of the lines that are answered; what an interruption left of a line is cut off.
fn resume(file: &mut File, lines: &[Line]) -> anyhow::Result<HashSet<usize>> {
    let mut bytes = vec![];
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let hashes: HashMap<usize, &str> = lines.iter().map(|line| (line.number, line.hash.as_str())).collect();
    let mut done = HashSet::new();
    for (at, text) in (1..).zip(String::from_utf8_lossy(&bytes[..whole]).lines()) {
        let answer: Value = serde_json::from_str(text).with_context(|| format!("line {at} is not an answer"))?;
        let number = answer["line"].as_u64().unwrap_or(0) as usize;
        if hashes.get(&number).copied() != answer["hash"].as_str() || !hashes.contains_key(&number) {
            bail!("line {at} answers another prompt than line {number} of the prompts; choose another file for --out");
        }
        done.insert(number);
    }
    // Only now: a file that is not ours stays as it is.
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    Ok(done)
}

fn answer(
    run: &Run,
    engine: &mut Engine,
    todo: Vec<Line>,
    out: &mut dyn Write,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let mut todo = todo.into_iter();
    let mut open: HashMap<SequenceId, Open> = HashMap::new();
    let room = run.lanes as usize * (1 + WAITING);
    loop {
        while open.len() < room && !interrupt.requested() {
            let Some(line) = todo.next() else { break };
            match submit(run, engine, &line) {
                Ok((id, prompt_tokens)) => {
                    let (text, tokens, depths) = (String::new(), vec![], vec![]);
                    open.insert(id, Open { line, begun: None, prompt_tokens, text, tokens, depths });
                }
                // One prompt that cannot be run is no reason to lose the others.
                Err(error) => {
                    let Line { number, hash, prompt } = &line;
                    let why = failure::chain(&error);
                    write_line(out, &json!({"line": number, "hash": hash, "id": prompt.id, "error": why}))?;
                }
            }
        }
        if interrupt.requested() || open.is_empty() {
            return Ok(());
        }
        let Some((id, event)) = block_on(engine.next())? else { return Ok(()) };
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
                write_line(out, &one.answer(reason))?;
            }
        }
    }
}

fn submit(run: &Run, engine: &mut Engine, line: &Line) -> anyhow::Result<(SequenceId, usize)> {
    let own = &line.prompt;
    let mut sampling = run.choosing.sampling(0.0)?;
    sampling.temperature = own.temperature.unwrap_or(sampling.temperature);
    sampling.seed = own.seed.unwrap_or(sampling.seed);
    let request = Request {
        prompt: engine.tokenizer().encode_prompt(&own.prompt, true)?,
        max_tokens: own.tokens.unwrap_or(run.tokens),
        sampling,
        stop: own.stop.clone().unwrap_or_else(|| run.choosing.stop.clone()),
        ignore_end: run.ignore_end,
        depth: own.depth.or(run.choosing.depth()?),
        routing: run.choosing.routing(),
        priority: own.priority.unwrap_or(0),
        drawn_depths: None,
    };
    let prompt_tokens = request.prompt.len();
    Ok((engine.submit(request)?, prompt_tokens))
}

impl Open {
    fn answer(&self, finish_reason: FinishReason) -> Answer<'_> {
        let rounds: u32 = self.depths.iter().sum();
        Answer {
            line: self.line.number,
            hash: &self.line.hash,
            id: &self.line.prompt.id,
            text: self.text.clone(),
            finish_reason,
            prompt_tokens: self.prompt_tokens,
            tokens: self.tokens.clone(),
            depths: self.depths.clone(),
            mean_depth: f64::from(rounds) / self.depths.len().max(1) as f64,
            seconds: self.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64()),
        }
    }
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> anyhow::Result<()> {
    // In one piece, so that an end in between leaves the least behind.
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPTS: &str = "\"one\"\n\n{\"prompt\":\"two\",\"id\":7,\"tokens\":3}\n";

    #[test]
    fn a_broken_line_is_cut_off_and_a_strange_file_is_left_alone() {
        let lines = parse(PROMPTS).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let good = format!("{}\n", json!({"line": 3, "hash": lines[1].hash}));
        write!(file, "{good}{{\"line\": 1, \"ha").unwrap();
        file.rewind().unwrap();
        assert_eq!(resume(&mut file, &lines).unwrap(), HashSet::from([3]));
        assert_eq!(
            (file.metadata().unwrap().len(), file.stream_position().unwrap()),
            (good.len() as u64, good.len() as u64)
        );
        for strange in ["a diary\nhalf", "{\"line\": 1, \"hash\": \"0\"}\nhalf", "{}\nhalf"] {
            let mut file = tempfile::tempfile().unwrap();
            write!(file, "{strange}").unwrap();
            file.rewind().unwrap();
            assert!(resume(&mut file, &lines).is_err(), "{strange}");
            assert_eq!(file.metadata().unwrap().len(), strange.len() as u64);
        }
    }
}
