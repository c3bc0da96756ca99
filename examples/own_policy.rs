//! A gate of one's own: a token stops where its score has risen by less than half since the round before.
//!
//! `cargo run --release --example own_policy`

use isobath::depth::policy::{AsTrained, ExitPolicy};
use isobath::engine::{Engine, EngineOptions, event::Event, request::Request};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::network::config::ModelConfig;
use isobath::text::Tokenizer;
use pollster::block_on;

/// The rule runs on the GPU, once per token and round.
struct StillRising;

impl ExitPolicy for StillRising {
    fn threshold(&self, _round: u32) -> f32 {
        0.5
    }

    fn rule(&self) -> &'static str {
        "fn goes_on(score: f32, previous: f32, threshold: f32, round: u32) -> bool {
            return round == 1u || score - previous >= threshold;
        }"
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = ModelConfig::from_json(&std::fs::read_to_string("assets/stories/config.json")?)?;
    let tokenizer = Tokenizer::from_json(&std::fs::read("assets/stories/tokenizer.json")?)?;
    let bytes = std::fs::read("assets/stories/model.safetensors")?;
    let source = Safetensors::parse(&bytes, "model.safetensors")?;
    let gpu = block_on(Gpu::open(None))?;
    let mut engine =
        block_on(Engine::load(gpu, &config, &source, tokenizer, EngineOptions::default(), &mut |_, _| {}))?;
    for (name, policy) in [("as trained", &AsTrained as &dyn ExitPolicy), ("still rising", &StillRising)] {
        block_on(engine.set_policy(policy))?;
        let prompt = engine.tokenizer().encode_prompt("Once upon a time", true)?;
        engine.submit(Request::new(prompt, 48))?;
        println!("{name}:");
        while let Some((_, event)) = block_on(engine.next())? {
            if let Event::Token(token) = event {
                print!("{}·{}", token.text, token.depth);
            }
        }
        println!();
    }
    Ok(())
}
