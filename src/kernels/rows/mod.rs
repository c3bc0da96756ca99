//! What is done to a row by itself: embedding, norm, activation, sums.

pub mod combine;
pub mod embed;
pub mod encode;
pub mod rms_norm;
pub mod swiglu;
