//! `--exit`: tokens leave a plain stack of layers early, at the cost of what is written.

use isobath::engine::Engine;
use isobath::error::{Error, RequestError};
use isobath::network::exit::{ExitChoice, ExitMode};
use isobath::network::kit::Kit;
use isobath::service::Draft;
use pollster::block_on;

use super::args::Loading;

/// Rows of a sequence that may wait for deeper layers.
const WAITING: u32 = 15;

/// `MODE` or `MODE=THRESHOLD`.
pub fn exit(text: &str) -> Result<ExitChoice, String> {
    text.parse()
}

/// Puts the mode in place that was asked for, with the kit where one is given.
pub fn apply(loading: &Loading, kit: Option<&Kit>, engine: &mut Engine) -> Result<(), Error> {
    let Some(choice) = &loading.exit else { return Ok(()) };
    if loading.gate.is_some() {
        let range = "said without `--gate`: both decide on depth".into();
        return Err(RequestError::Setting { name: "exit", value: choice.mode.name().into(), range }.into());
    }
    let choice = match kit {
        Some(kit) => choice.clone().with_kit(kit)?,
        None => choice.clone(),
    };
    block_on(engine.set_exit(Some(&choice)))
}

/// Rows that may wait in the mode that was asked for.
pub fn room(loading: &Loading) -> u32 {
    let waits = |choice: &ExitChoice| matches!(choice.mode, ExitMode::Free | ExitMode::FreeAdaptive | ExitMode::EeLlm);
    if loading.exit.as_ref().is_some_and(waits) { WAITING } else { 0 }
}

/// Who guesses where nothing is said: nobody where tokens leave early.
pub fn usual_draft(loading: &Loading, otherwise: Draft) -> Draft {
    if loading.exit.is_some() { Draft::Off } else { otherwise }
}
