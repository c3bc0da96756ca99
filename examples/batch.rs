//! Several sequences at once: who finishes first is told first.
//!
//! `cargo run --release --example batch`

use isobath::engine::event::Event;
use isobath::engine::{Engine, EngineOptions, request::Request};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::network::config::ModelConfig;
use isobath::text::Tokenizer;
use pollster::block_on;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = ModelConfig::from_json(&std::fs::read_to_string("assets/stories/config.json")?)?;
    let tokenizer = Tokenizer::from_json(&std::fs::read("assets/stories/tokenizer.json")?)?;
    let bytes = std::fs::read("assets/stories/model.safetensors")?;
    let source = Safetensors::parse(&bytes, "model.safetensors")?;
    let gpu = block_on(Gpu::open(None))?;
    let options = EngineOptions { lanes: 8, context: Some(128), ..EngineOptions::default() };
    let mut engine = block_on(Engine::load(gpu, &config, &source, tokenizer, options, &mut |_, _| {}))?;

    for prompt in [
        "Once upon a time",
        "There once was a fox",
        "One day",
        "Long ago",
        "Mia had 4 plums.",
        "Count up by twos from 2:",
    ] {
        let prompt = engine.tokenizer().encode_prompt(prompt, true)?;
        engine.submit(Request::new(prompt, 24))?;
    }
    while let Some((id, event)) = block_on(engine.next())? {
        if let Event::Finished { reason, tokens, .. } = event {
            println!("sequence {}: {tokens} tokens, {reason:?}", id.0);
        }
    }
    let statistics = engine.statistics();
    println!(
        "{} tokens in {} ticks, mean depth {:.2}",
        statistics.tokens,
        statistics.ticks,
        statistics.rounds as f64 / statistics.tokens as f64
    );
    Ok(())
}
