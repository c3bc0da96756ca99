//! Any bytes as a kit: the text of kit.json, a zero byte, kit.safetensors; what is done with them is in `tests/support/hostile.rs`.

#![no_main]

#[path = "../../tests/support/hostile.rs"]
mod hostile;

#[global_allocator]
static ALLOCATOR: hostile::Counting = hostile::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::feed("kit", bytes));
