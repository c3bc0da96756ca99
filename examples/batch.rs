//! Several sequences at once: who finishes first is told first.
//!
//! `cargo run --release --example batch`

use isobath::{EngineOptions, Error, Event, Settings};

fn main() -> Result<(), Error> {
    let options = EngineOptions { lanes: 8, context: Some(128), ..EngineOptions::default() };
    let mut model = isobath::open_with("assets/stories", options)?;
    for prompt in [
        "Once upon a time",
        "There once was a fox",
        "One day",
        "Long ago",
        "Mia had 4 plums.",
        "Count up by twos from 2:",
    ] {
        model.submit(prompt, &Settings::of(24))?;
    }
    while let Some((id, event)) = model.wait()? {
        if let Event::Finished { reason, tokens, .. } = event {
            println!("sequence {}: {tokens} tokens, {reason:?}", id.0);
        }
    }
    let statistics = model.engine.statistics();
    println!(
        "{} tokens in {} ticks, mean depth {:.2}",
        statistics.tokens,
        statistics.ticks,
        statistics.rounds as f64 / statistics.tokens as f64
    );
    Ok(())
}
