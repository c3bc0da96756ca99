//! A gate of one's own: a token stops where its score has risen by less than half since the round before.
//!
//! `cargo run --release --example own_policy`

use isobath::depth::policy::AsTrained;
use isobath::{Error, Event, ExitPolicy, Settings};
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

fn main() -> Result<(), Error> {
    let mut model = isobath::open("assets/stories")?;
    for (name, policy) in [("as trained", &AsTrained as &dyn ExitPolicy), ("still rising", &StillRising)] {
        block_on(model.engine.set_policy(policy))?;
        println!("{name}:");
        for event in model.generate("Once upon a time", &Settings::of(48))? {
            if let Event::Token(token) = event? {
                print!("{}·{}", token.text, token.depth);
            }
        }
        println!();
    }
    Ok(())
}
