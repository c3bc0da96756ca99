// What a lane is doing, as the GPU keeps it between ticks; `Control` in `src/kernels/mod.rs`.

struct Lane {
    phase: u32,     // IDLE, READY, IN_FLIGHT, READING, WAITING
    serial: u32,    // tells sequences of the same lane apart
    position: u32,  // of the next token to be computed; of the first row that waits, where some do
    remaining: u32, // tokens that may still be drawn
    forced: u32,    // rounds that every token runs; 0: the gate decides
    given: u32,     // 1: rounds are given for each position of the lane
    ends: u32,      // 1: an end token ends the sequence
    rows: u32,      // rows of its span in use: the next token, and guesses behind it, or rows that wait before it
    kept: u32,      // of those that were computed last: rows that stay, the first ones
    guesses: u32,   // guesses that were made, whether checked or not
    source: u32,    // who made them
    shallow: u32,   // rows of its span that have run the first layers already, to be guessed from
    begins: u32,    // position of the first token that it wrote: the length of its prompt
}

const IDLE = 0u;
const READY = 1u;     // its next token can enter
const IN_FLIGHT = 2u; // its rows are between two rounds
const READING = 3u;   // its prompt is being read
const WAITING = 4u;   // the token of its newest row was told by the first layers: its rows wait for the others
