//! **What is shown is what the run was.** The panel in pictures, and the desktop window on a virtual screen.
//!
//! Apart from `user`, because it needs features that nothing else does: `cargo test --features gui --test screen`.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod panel;
#[cfg(feature = "gui")]
mod window;
