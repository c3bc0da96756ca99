// What a lane is doing, as the GPU keeps it between ticks; `Control` in `src/kernels/mod.rs`.

struct Lane {
    phase: u32,     // IDLE, READY, IN_FLIGHT, READING
    serial: u32,    // tells sequences of the same lane apart
    position: u32,  // of the next token to be computed
    remaining: u32, // tokens that may still be drawn
    forced: u32,    // rounds that every token runs; 0: the gate decides
    ends: u32,      // 1: an end token ends the sequence
    drawn0: u32,    // shares of 65536 that go at least to depth 2 and 3, to measure a machine; see `drawn_depth`
    drawn1: u32,    // the share of depth 4 << 16 | seed << 1 | 1; 0: depths are not drawn
}

const IDLE = 0u;
const READY = 1u;     // its next token can enter
const IN_FLIGHT = 2u; // its token is between two rounds
const READING = 3u;   // its prompt is being read
