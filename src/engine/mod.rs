//! From a request to the events that answer it.

pub mod event;
pub mod request;
