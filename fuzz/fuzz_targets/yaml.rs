//! Any bytes as a training YAML; what is done with them is in `tests/support/hostile.rs`.

#![no_main]

#[path = "../../tests/support/hostile.rs"]
mod hostile;

#[global_allocator]
static ALLOCATOR: hostile::Counting = hostile::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::feed("yaml", bytes));
