//! `isobath bench`: single tests and experiments on this machine.
//!
//! Rows are written as soon as they are measured. What is compared runs in turns, in one process, so that a busy machine
//! slows both alike.

mod choice;
mod experiment;
mod row;
mod table;

use std::time::Instant;

use isobath::bench::copy::CopySpeed;
use isobath::bench::ledger::Outcome;
use isobath::bench::rates::Rates;
use isobath::bench::shape::Shape;
use isobath::bench::test::Test;
use isobath::bench::work::WorkDepth;
use isobath::engine::{Engine, EngineOptions, MAX_LANES};
use isobath::error::RequestError;
use isobath::network::config::ModelConfig;
use isobath::runtime::tick::Order;
use isobath::schedule::PAGE;
use isobath::service::Draft;
use pollster::block_on;

use super::args::{Bench, Loading, OrderChoice};
use super::failure;
use super::length::Length;
use super::open;
use super::progress::Progress;
use super::{facts, session};
use choice::Group;
use row::{Repeated, Setting};
use table::Table;

/// Tokens of prompts that are read at once.
const CHUNK: u32 = 256;

/// One adapter being measured.
struct Bencher<'a> {
    command: &'a Bench,
    loading: Loading,
    groups: Vec<Group>,
    config: ModelConfig,
    start: Instant,
    setting: Option<Setting>,
}

pub fn bench(command: &Bench) -> anyhow::Result<u8> {
    if command.repetitions == 0 || command.requests == 0 || command.mean == 0 {
        let range = "at least 1".to_owned();
        let name = "repetitions, requests and mean";
        return Err(RequestError::Setting { name, value: "0".into(), range }.into());
    }
    let mut table = Table::new(command.output, command.loading.quiet);
    if command.loading.adapter.as_deref() != Some("all") {
        return Bencher::new(command, command.loading.clone())?.run(&mut table);
    }
    let mut failed = None;
    for adapter in session::adapters() {
        let loading = Loading { adapter: Some(adapter.index.to_string()), ..command.loading.clone() };
        match Bencher::new(command, loading)?.run(&mut table) {
            Ok(_) => {}
            Err(error) if failure::exit_code(&error) == failure::GPU => {
                // The others may do better.
                eprintln!("error: {}: {}", adapter.name, failure::chain(&error));
                failed = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    failed.map_or(Ok(failure::DONE), Err)
}

impl<'a> Bencher<'a> {
    fn new(command: &'a Bench, loading: Loading) -> anyhow::Result<Self> {
        let groups = choice::groups(command)?;
        for group in &groups {
            if group.lanes == 0 || group.lanes > MAX_LANES {
                let range = format!("between 1 and {MAX_LANES}");
                return Err(RequestError::Setting { name: "lanes", value: group.lanes.to_string(), range }.into());
            }
        }
        let config = match &command.random {
            Some(shape) => Shape::parse(shape)?.config()?,
            None => {
                let place = open::of(&loading)?;
                let facts = facts::facts(&place)?;
                let why = || anyhow::Error::msg(facts.faults.join("; "));
                facts.config.ok_or_else(why)?
            }
        };
        let mut bencher = Self { command, loading, groups, config, start: Instant::now(), setting: None };
        bencher.fit()?;
        Ok(bencher)
    }

    /// Refuses named tests that are longer than the model's context, and leaves out such of the usual ones.
    fn fit(&mut self) -> Result<(), RequestError> {
        let most = self.loading.context.unwrap_or(u32::MAX).min(self.config.context_length);
        let chunk = CHUNK.min(most);
        let fits = |test: &Test| test.context(chunk) <= most;
        let named = choice::named(self.command);
        for group in &mut self.groups {
            if let Some(test) = group.tests.iter().find(|test| named && !fits(test)) {
                let range = format!("one that fits in {most} tokens; this takes {}", test.context(chunk));
                return Err(RequestError::Setting { name: "test", value: test.to_string(), range });
            }
            for test in group.tests.iter().filter(|test| !fits(test) && !self.loading.quiet) {
                eprintln!("{test} is left out: it takes {} tokens of {most}", test.context(chunk));
            }
            group.tests.retain(fits);
        }
        Ok(())
    }

    fn run(&mut self, table: &mut Table) -> anyhow::Result<u8> {
        for group in self.groups.clone() {
            if group.tests.is_empty() && !group.experiments {
                continue;
            }
            let mut engine = self.load(&group, true)?;
            let setting = self.setting(&engine, table)?;
            if !self.loading.quiet {
                print_room(&engine);
            }
            for test in &group.tests {
                let row = self.test(*test, &mut engine, &setting)?;
                table.row(&row)?;
            }
            if group.experiments {
                self.experiments(&group, &mut engine, &setting, table)?;
            }
            if let Some(times) = session::kernel_times(&engine) {
                eprintln!("{times}");
            }
        }
        Ok(failure::DONE)
    }

    /// An engine with the lanes and context of a group, with or without its gates.
    fn load(&self, group: &Group, gates: bool) -> anyhow::Result<Engine> {
        let order = self.command.order.map(|order| match order {
            OrderChoice::Waves => Order::Waves,
            OrderChoice::Mixed => Order::Mixed,
        });
        let (lanes, most) = (group.lanes, self.config.context_length);
        let chunk = CHUNK.min(most);
        // Room for the longest output that is likely; what is longer is cut.
        let experiment = if group.experiments { self.longest().min(most) } else { 0 };
        let tests = group.tests.iter().map(|test| test.context(chunk)).max().unwrap_or(0);
        let loading = Loading {
            context: self.loading.context.or(Some(tests.max(experiment))),
            quiet: true,
            gate: self.loading.gate.clone().filter(|_| gates),
            ..self.loading.clone()
        };
        // All lanes have room at once: what waits is not measured.
        let cache_tokens = loading.context.map(|context| context.next_multiple_of(PAGE).saturating_mul(lanes));
        let drafting = loading.drafting(Draft::Off);
        drafting.check()?;
        let guesses = drafting.room();
        let options =
            EngineOptions { lanes, order, max_rows: chunk, cache_tokens, guesses, ..EngineOptions::default() };
        let gated = |config: &mut ModelConfig| {
            if !gates {
                config.leave_gates_out();
            }
        };
        let model = match &self.command.random {
            Some(_) => {
                let mut config = self.config.clone();
                gated(&mut config);
                session::random(&config, self.command.dtype, &loading, options)?
            }
            None => session::load(&open::of(&loading)?, &loading, options, |parts| {
                gated(&mut parts.config);
                Length::Usual
            })?,
        };
        let mut engine = model.engine;
        if let [first, ..] = engine.cuts() {
            let range = format!("smaller here ({first}); or give fewer --lanes or a shorter --context");
            return Err(RequestError::Setting { name: "the size of the test", value: lanes.to_string(), range }.into());
        }
        let start = self.start;
        engine.set_clock(move || start.elapsed().as_nanos() as u64);
        Ok(engine)
    }

    /// Measures the copy and writes the heading, once.
    fn setting(&mut self, engine: &Engine, table: &mut Table) -> anyhow::Result<Setting> {
        if let Some(setting) = &self.setting {
            return Ok(setting.clone());
        }
        let start = self.start;
        let copy = block_on(CopySpeed::measure(engine.gpu(), &|| start.elapsed().as_secs_f64()))?;
        let summary = engine.gpu().summary();
        let bundled = || "the bundled model".to_owned();
        let model = self.loading.model.as_ref().map_or_else(bundled, |path| path.display().to_string());
        let setting = Setting {
            model: self.command.random.as_ref().map_or(model, |shape| format!("{shape} {}", self.command.dtype.name())),
            adapter: summary.name.clone(),
            kind: summary.kind,
            driver: summary.driver.clone(),
            backend: summary.backend.clone(),
            features: summary.features.join(" "),
            copy_gb_per_second: copy.gb_per_second,
        };
        table.heading(&setting, copy.by_kernel)?;
        self.setting = Some(setting.clone());
        Ok(setting)
    }

    fn depth(&self) -> Result<WorkDepth, RequestError> {
        let shares = &self.command.depths;
        let gated = self.config.has_gates();
        if shares.is_empty() && !(gated && self.command.random.is_some()) {
            return Ok(WorkDepth::Model);
        }
        let rounds = self.config.recursion.map_or(1, |recursion| recursion.count).min(4) as usize;
        let drawn = if shares.is_empty() { vec![1.0 / rounds as f32; rounds] } else { shares.clone() };
        if drawn.len() > 4 {
            let (value, range) = (drawn.len().to_string(), "at most 4 shares".to_owned());
            return Err(RequestError::Setting { name: "depths", value, range });
        }
        let mut shares = [0.0; 4];
        shares[..drawn.len()].copy_from_slice(&drawn);
        Ok(WorkDepth::Drawn(shares))
    }

    /// One row: repetitions behind a run that does not count, in which pipelines are made and caches warmed.
    fn test(&self, test: Test, engine: &mut Engine, setting: &Setting) -> anyhow::Result<row::Row> {
        let (depth, start) = (self.depth()?, self.start);
        let clock = || start.elapsed().as_secs_f64();
        let bar = Progress::counting(self.loading.quiet, &test.to_string());
        block_on(test.run(engine, depth, &clock))?;
        let mut outcomes = vec![];
        for repetition in 0..self.command.repetitions {
            bar.set(repetition.into(), self.command.repetitions.into());
            outcomes.push(block_on(test.run(engine, depth, &clock))?);
        }
        bar.end();
        let reads = matches!(test, Test::Prefill { .. });
        let repeated = repeated(engine, engine.order(), outcomes, test.mean_context(), reads)?;
        Ok(repeated.row(test.to_string(), setting, test.lanes(), engine))
    }
}

/// Repetitions of the same work, which must have given the same tokens.
fn repeated(
    engine: &Engine,
    order: Order,
    outcomes: Vec<Outcome>,
    context: f64,
    reads: bool,
) -> anyhow::Result<Repeated> {
    if let Some(pair) = outcomes.windows(2).find(|pair| pair[0].hash != pair[1].hash) {
        anyhow::bail!("the same work gave other tokens: {:016x} and {:016x}", pair[0].hash, pair[1].hash);
    }
    let rates: Vec<Rates> = outcomes.iter().map(|outcome| Rates::of(engine, outcome, context, reads)).collect();
    Ok(Repeated {
        order,
        outcomes,
        tokens_per_second: rates.iter().map(|rates| rates.tokens_per_second).collect(),
        gb_per_second: rates.iter().map(|rates| rates.gb_per_second).collect(),
        gflop_per_second: rates.iter().map(|rates| rates.gflop_per_second).collect(),
    })
}

/// What is loaded, on stderr.
fn print_room(engine: &Engine) {
    let memory = engine.memory();
    eprintln!(
        "{} lanes of {} tokens: {:.2} MB each, of which {:.2} MB KV cache",
        engine.lanes(),
        engine.context(),
        memory.lane as f64 / 1e6,
        memory.lane_cache as f64 / 1e6
    );
}
