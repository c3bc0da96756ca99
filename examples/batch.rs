//! Several sequences at once: who finishes first is told first.
//!
//! `cargo run --release --example batch`

use isobath::engine::event::Event;
use isobath::engine::{Engine, EngineOptions, request::Request};
use isobath::gpu::Gpu;
use isobath::model::{config::ModelConfig, folder::Safetensors};
use isobath::text::Tokenizer;
use pollster::block_on;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = ModelConfig::from_json(&std::fs::read_to_string("assets/tiny/config.json")?)?;
    let tokenizer = Tokenizer::from_json(&std::fs::read("assets/tiny/tokenizer.json")?)?;
    let bytes = std::fs::read("assets/tiny/model.safetensors")?;
    let source = Safetensors::parse(&bytes, "model.safetensors")?;
    let gpu = block_on(Gpu::open(None))?;
    let options = EngineOptions { lanes: 8, context: Some(128), ..EngineOptions::default() };
    let mut engine = block_on(Engine::load(gpu, &config, &source, tokenizer, options, &mut |_, _| {}))?;

    for prompt in ["the sea", "the old captain", "a light", "the wind", "the night", "the hill"] {
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
