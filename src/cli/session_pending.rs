//! Stands in for `session.rs`, which needs the engine; goes when the engine is there.

use super::adapters::Adapter;
use super::args::Loading;
use super::inspect::Facts;
use super::open::{self, Place};
use super::progress::Progress;
use super::writer::Writer;

const PENDING: &str = "this build has no engine yet";

pub fn load(place: &Place, loading: &Loading) -> anyhow::Result<Box<dyn Writer>> {
    if let Place::Folder(folder) = place {
        open::config(folder)?;
        open::tokenizer(folder)?;
        open::chat_template(folder)?;
        open::tensors(folder)?;
    }
    let progress = Progress::new(loading.quiet);
    progress.set(0, 0);
    progress.end();
    anyhow::bail!("{PENDING}: {:?}", place.note())
}

pub fn facts(place: &Place) -> anyhow::Result<Facts> {
    load(place, &Loading { model: None, adapter: None, context: None, profile: false, quiet: true })?;
    anyhow::bail!(PENDING)
}

pub fn adapters() -> anyhow::Result<Vec<Adapter>> {
    anyhow::bail!(PENDING)
}
