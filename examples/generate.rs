//! One text, token by token, each with the number of rounds that were run to predict it.
//!
//! `cargo run --release --example generate`

use std::ops::ControlFlow;

use isobath::engine::{Engine, EngineOptions, event::Event, request::Request};
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
    let request = Request::new(tokenizer.encode_prompt("Once upon a time", true)?, 48);
    let options = EngineOptions::default();
    let mut engine =
        block_on(Engine::load(block_on(Gpu::open(None))?, &config, &source, tokenizer, options, &mut |_, _| {}))?;
    block_on(engine.generate(&request, &mut |event| {
        if let Event::Token(token) = event {
            print!("{}·{}", token.text, token.depth);
        }
        ControlFlow::Continue(())
    }))?;
    println!();
    Ok(())
}
