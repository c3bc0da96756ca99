// The most probable token of a row, and how sure it is.
//
//     gap:     p1 - p2      of the two largest probabilities
//     largest: log p1
//
// Grid: one workgroup per place of the list. CPU twin: `cpu` in `src/kernels/deferring/sureness.rs`.

struct Params {
    vocabulary: u32,
    stride: u32,  // numbers per row of logits
    rounds: u32,  // scores kept per row
    depth: u32,   // rounds that the listed rows have run
    measure: u32, // GAP or the logarithm of the largest
}

const LOWEST = -1e30;
const GAP = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;       // [places, stride]
@group(0) @binding(2) var<storage, read> list: array<u32>;         // count, rows
@group(0) @binding(3) var<storage, read_write> scores: array<f32>; // [rows, rounds]
@group(0) @binding(4) var<storage, read_write> best: array<u32>;   // [rows]

fn log_largest(thread: u32, start: u32, top: f32) -> f32 {
    var part = 0.0;
    for (var i = thread; i < params.vocabulary; i += THREADS) { part += exp(max(logits[start + i] - top, -80.0)); }
    return -log(total(thread, part));
}

@compute @workgroup_size(THREADS)
fn sureness(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if group.x >= list[0] { return; }
    let row = list[1u + group.x];
    let start = group.x * params.stride;
    let own = own_best(thread, start);
    let token = argmax(thread, own.logit, own.token);
    var score = 0.0;
    if params.measure == GAP {
        score = statistic(thread, start);
    } else {
        score = log_largest(thread, start, best_value);
    }
    if thread == 0u {
        scores[row * params.rounds + params.depth - 1u] = score;
        best[row] = token;
    }
}
