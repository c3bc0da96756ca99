//! A network on the GPU: weights, rows and lanes, and the dispatches that move them on.

pub mod cache;
pub mod layer;
pub mod memory;
pub mod product;
pub mod recipe;
pub mod room;
pub mod rounds;
pub mod state;
pub mod step;
pub mod tick;
mod upload;
pub mod weights;
