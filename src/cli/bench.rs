//! `isobath bench`: the depth experiment on this machine, adaptive and full depth in turns.

use std::time::Instant;

use isobath::bench::flops::TokenFlops;
use isobath::bench::shape::Shape;
use isobath::bench::{Outcome, Work, WorkDepth, median, spread};
use isobath::engine::{Engine, EngineOptions};
use isobath::error::RequestError;
use isobath::model::tick::Order;
use pollster::block_on;
use serde_json::{Value, json};

use super::args::{Bench, OrderChoice, TableFormat};
use super::failure;
use super::open::Place;
use super::session;

/// One row of the table.
struct Measured {
    lanes: u32,
    order: Order,
    adaptive: Vec<Outcome>,
    full: Vec<Outcome>,
    ceiling: f64,
}

pub fn bench(command: &Bench) -> anyhow::Result<u8> {
    if command.repetitions == 0 || command.requests == 0 || command.mean == 0 {
        let range = "at least 1".to_owned();
        let name = "repetitions, requests and mean";
        return Err(RequestError::Setting { name, value: "0".into(), range }.into());
    }
    let mut rows = vec![];
    for &lanes in &command.lanes {
        let mut engine = load(command, lanes)?;
        let row = measure(command, lanes, &mut engine)?;
        if rows.is_empty() {
            heading(command, &engine);
        }
        print(command.output, &row, rows.is_empty());
        rows.push(row.lanes);
    }
    Ok(failure::DONE)
}

fn load(command: &Bench, lanes: u32) -> anyhow::Result<Engine> {
    let order = command.order.map(|order| match order {
        OrderChoice::Waves => Order::Waves,
        OrderChoice::Mixed => Order::Mixed,
    });
    let options = EngineOptions { lanes, order, ..EngineOptions::default() };
    // Room for the longest output that is likely; what is longer is cut.
    let longest = command.prompt + command.mean + 4 * deviation(command);
    let mut loading = command.loading.clone();
    match &command.random {
        Some(shape) => {
            let config = Shape::parse(shape)?.config()?;
            loading.context = loading.context.or(Some(longest.min(config.context_length)));
            session::random_engine(&config, &loading, options)
        }
        None => {
            let place = Place::of(&loading)?;
            if loading.context.is_none() {
                let facts = session::facts(&place)?;
                loading.context = facts.config.map(|config| longest.min(config.context_length));
            }
            session::engine(&place, &loading, options)
        }
    }
}

fn deviation(command: &Bench) -> u32 {
    command.deviation.unwrap_or(command.mean / 4)
}

fn depth(command: &Bench, rounds: u32) -> Result<WorkDepth, RequestError> {
    if command.depths.is_empty() && command.random.is_none() {
        return Ok(WorkDepth::Model);
    }
    let drawn = if command.depths.is_empty() {
        vec![1.0 / rounds.min(4) as f32; rounds.min(4) as usize]
    } else {
        command.depths.clone()
    };
    if drawn.len() > 4 {
        let (value, range) = (drawn.len().to_string(), "at most 4 shares".to_owned());
        return Err(RequestError::Setting { name: "depths", value, range });
    }
    let mut shares = [0.0; 4];
    shares[..drawn.len()].copy_from_slice(&drawn);
    Ok(WorkDepth::Drawn(shares))
}

fn measure(command: &Bench, lanes: u32, engine: &mut Engine) -> anyhow::Result<Measured> {
    let rounds = engine.plan().n_rounds();
    let adaptive = Work {
        requests: lanes * command.requests,
        prompt: command.prompt,
        mean: command.mean as f32,
        deviation: deviation(command) as f32,
        seed: 1,
        depth: depth(command, rounds)?,
    };
    let full = Work { depth: WorkDepth::Fixed(rounds), ..adaptive };
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64();
    // Pipelines are made and caches warmed by a run that does not count.
    block_on(Work { requests: lanes, mean: 4.0, deviation: 0.0, ..adaptive }.run(engine, &clock))?;
    let mut outcomes = [vec![], vec![]];
    for repetition in 0..command.repetitions {
        // Whoever goes first changes from one repetition to the next.
        for which in [repetition as usize % 2, 1 - repetition as usize % 2] {
            let outcome = block_on([adaptive, full][which].run(engine, &clock))?;
            if let Some(first) = outcomes[which].first().filter(|first: &&Outcome| first.hash != outcome.hash) {
                anyhow::bail!("the same work gave other tokens: {:016x} and {:016x}", first.hash, outcome.hash);
            }
            outcomes[which].push(outcome);
        }
    }
    let [adaptive, full] = outcomes;
    let flops = TokenFlops::of(engine.config(), engine.plan(), f64::from(command.prompt + command.mean / 2));
    let mean_depth = adaptive.first().map_or(0.0, |outcome| outcome.mean_depth);
    Ok(Measured { lanes, order: engine.order(), adaptive, full, ceiling: flops.ceiling(mean_depth) })
}

impl Measured {
    /// Ratios of neighbours in time, of which the median counts: a busy machine slows both.
    fn realised(&self) -> (f64, f64) {
        let ratios: Vec<f64> = self
            .adaptive
            .iter()
            .zip(&self.full)
            .map(|(adaptive, full)| adaptive.tokens_per_second() / full.tokens_per_second())
            .collect();
        (median(&ratios), spread(&ratios).1)
    }

    fn json(&self) -> Value {
        let rates = |outcomes: &[Outcome]| -> Vec<f64> { outcomes.iter().map(Outcome::tokens_per_second).collect() };
        let (adaptive, full) = (spread(&rates(&self.adaptive)), spread(&rates(&self.full)));
        let (realised, realised_spread) = self.realised();
        let first = self.adaptive.first();
        json!({
            "lanes": self.lanes, "order": self.order,
            "adaptive_tokens_per_second": adaptive.0, "adaptive_spread": adaptive.1,
            "full_tokens_per_second": full.0, "full_spread": full.1,
            "mean_depth": first.map(|outcome| outcome.mean_depth),
            "ceiling": self.ceiling, "realised": realised, "realised_spread": realised_spread,
            "efficiency": realised / self.ceiling,
            "dispatches_per_tick": first.map(|outcome| outcome.dispatches as f64 / outcome.ticks.max(1) as f64),
            "hash": first.map(|outcome| format!("{:016x}", outcome.hash)),
            "full_hash": self.full.first().map(|outcome| format!("{:016x}", outcome.hash)),
            "runs": {"adaptive": self.adaptive, "full": self.full},
        })
    }
}

fn heading(command: &Bench, engine: &Engine) {
    if command.output == TableFormat::Md {
        let model = command.random.clone().unwrap_or_else(|| {
            command.loading.model.as_ref().map_or("the bundled model".to_owned(), |path| path.display().to_string())
        });
        println!("{model} on {}", engine.gpu().description());
        println!(
            "{} requests per lane, outputs of {} tokens (deviation {}), {} repetitions in turns; a tick is one submission",
            command.requests,
            command.mean,
            deviation(command),
            command.repetitions
        );
        println!();
    }
}

fn print(format: TableFormat, row: &Measured, first: bool) {
    let json = row.json();
    let number = |name: &str| json[name].as_f64().unwrap_or(f64::NAN);
    let columns = [
        "lanes",
        "order",
        "adaptive tok/s",
        "full tok/s",
        "mean depth",
        "ceiling",
        "realised",
        "efficiency",
        "dispatches/tick",
        "hash",
    ];
    let values = [
        row.lanes.to_string(),
        json["order"].as_str().unwrap_or_default().to_owned(),
        format!("{:.1} ± {:.1}", number("adaptive_tokens_per_second"), number("adaptive_spread")),
        format!("{:.1} ± {:.1}", number("full_tokens_per_second"), number("full_spread")),
        format!("{:.3}", number("mean_depth")),
        format!("{:.3}", number("ceiling")),
        format!("{:.3} ± {:.3}", number("realised"), number("realised_spread")),
        format!("{:.3}", number("efficiency")),
        format!("{:.0}", number("dispatches_per_tick")),
        json["hash"].as_str().unwrap_or_default().to_owned(),
    ];
    match format {
        TableFormat::Json => println!("{json}"),
        TableFormat::Md => {
            if first {
                println!("| {} |\n|{}", columns.join(" | "), " --- |".repeat(columns.len()));
            }
            println!("| {} |", values.join(" | "));
        }
        TableFormat::Csv => {
            if first {
                println!("{}", columns.join(","));
            }
            println!("{}", values.join(","));
        }
    }
}
