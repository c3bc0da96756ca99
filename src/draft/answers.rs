//! The model's own answers as text to learn from: what it will be asked to guess is what it writes itself.

use std::collections::HashMap;

use crate::engine::event::Event;
use crate::engine::request::Request;
use crate::engine::{Engine, SequenceId};
use crate::error::Error;

/// Goes on with each prompt, with the most probable token each time, until it ends or is so many tokens long; returns
/// prompts and answers in the prompts' order, without those that came to less than two tokens. `progress` hears of each that
/// ends.
///
/// # Errors
/// A prompt that does not fit, or what the GPU reports.
pub async fn answers(
    engine: &mut Engine,
    prompts: &[Vec<u32>],
    window: u32,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Vec<u32>>, Error> {
    let mut texts: Vec<Vec<u32>> = prompts.to_vec();
    let mut places: HashMap<SequenceId, usize> = HashMap::new();
    for (place, prompt) in prompts.iter().enumerate() {
        let most = window.saturating_sub(prompt.len() as u32);
        if most > 0 {
            places.insert(engine.submit(Request::new(prompt.clone(), most))?, place);
        }
    }
    let mut done = 0;
    while let Some((sequence, event)) = engine.next().await? {
        let Some(text) = places.get(&sequence).and_then(|place| texts.get_mut(*place)) else { continue };
        match event {
            Event::Token(token) => text.push(token.token),
            Event::Finished { .. } => {
                done += 1;
                progress(done);
            }
            Event::Prefill { .. } => {}
        }
    }
    // What the last token predicts was never written, and a text of one token tells nothing.
    texts.retain(|text| text.len() >= 2);
    Ok(texts)
}
