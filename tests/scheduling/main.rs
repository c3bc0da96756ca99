//! **Every request gets its turn and ends with a reason.** Nobody reads what is not written yet, nobody waits for ever, and
//! nothing is left behind after a long day.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod late_gpu;
mod soak;
