//! The only module that names wgpu: adapters, the device, buffers, textures, kernels and their recording.
//!
//! **Invariant:** nothing here knows a model, a layer or a token.

pub mod adapter;
pub mod buffer;
pub mod device;
pub mod kernel;
pub mod pass;
pub mod pipeline;
#[cfg(not(target_arch = "wasm32"))]
mod pipeline_cache;
pub mod profile;
pub mod readback;
pub mod texture;
pub mod traits;

pub use adapter::AdapterSummary;
pub use buffer::{Binding, Buffer};
pub use device::{Gpu, SharedDevice};
pub use kernel::{Kernel, Source};
pub use pass::Pass;
pub use texture::Texture;
pub use traits::Traits;
