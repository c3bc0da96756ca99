//! One text, token by token, each with the number of rounds that were run to predict it.
//!
//! `cargo run --release --example generate`

use isobath::{Error, Event, Settings};

fn main() -> Result<(), Error> {
    let mut model = isobath::open("assets/stories")?;
    for event in model.generate("Once upon a time", &Settings::of(48))? {
        if let Event::Token(token) = event? {
            print!("{}·{}", token.text, token.depth);
        }
    }
    println!();
    Ok(())
}
