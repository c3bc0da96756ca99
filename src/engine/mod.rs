//! Sequences in, events out.

pub mod event;
pub mod request;
