//! A network on the GPU: weights, rows and lanes, and the dispatches that move them on.

pub mod cache;
pub mod deferral;
pub mod draft;
pub mod gates;
pub mod lane;
pub mod layer;
pub mod leave;
mod lists;
pub mod memory;
mod norms;
pub mod product;
pub mod recipe;
mod rehearsal;
pub mod room;
pub mod rounds;
pub mod state;
pub mod step;
pub mod tick;
pub mod upload;
pub mod weights;
