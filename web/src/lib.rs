//! Isobath in the browser: the panel on a canvas, the engine as a task of the page.
//!
//! The page starts with the model that lies beside it. What tests and scripts ask of it goes through `window.isobath`
//! ([`surface`]).
//!
//! **Invariant:** nothing here waits: a page that is busy for long cannot be used.

#![cfg(target_arch = "wasm32")]

mod app;
mod browser;
mod canvas;
mod fetch;
mod file;
mod notice;
mod page;
pub mod pipelines;
mod place;
mod session;
pub mod surface;

use wasm_bindgen::prelude::wasm_bindgen;

/// Begins when the page is there.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        notice::show(
            "Isobath has stopped: this is a defect of the program, and the browser's console says where. Load the page again.",
        );
    }));
    let page = page::Page::new();
    surface::install(page.clone());
    wasm_bindgen_futures::spawn_local(page.open());
}
