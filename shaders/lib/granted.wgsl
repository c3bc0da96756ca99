// How many rounds a row runs; `Granted` in `src/kernels/mod.rs`.

struct Granted {
    rounds: u32, // so far, or at once
    forced: u32, // what the row runs whatever its scores; 0: they decide
}
