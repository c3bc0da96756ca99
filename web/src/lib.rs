//! Isobath in the browser: the engine as a task of the page.
//!
//! The page starts with the model that lies beside it. What tests and scripts ask of it goes through `window.isobath`
//! ([`surface`]).
//!
//! **Invariant:** nothing here waits: a page that is busy for long cannot be used.

#![cfg(target_arch = "wasm32")]

mod fetch;
mod notice;
pub mod pipelines;
mod session;
pub mod surface;

use wasm_bindgen::prelude::wasm_bindgen;

/// Begins when the page is there.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
    surface::install();
}
