// Grants the next round to the k rows of each lane with the largest scores, ties to the lower position.
//
// Not causal: this is the released Mixture-of-Recursions code's prefill, kept for parity (issues 9 and 10 there).
// Grid: one workgroup per 64 rows of the list. CPU twin: `cpu` in `src/kernels/exits/select_top_k.rs`.

struct Params {
    rounds: u32,   // scores kept per row
    round: u32,    // the round that is decided
    keep: u32,     // k
    sign: f32,     // -1 where the gate falls with the score
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;        // [rows, rounds]
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;    // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read> list: array<u32>;          // count, rows
@group(0) @binding(4) var<storage, read_write> granted: array<Granted>; // [rows]

@compute @workgroup_size(64)
fn select_top_k(@builtin(global_invocation_id) id: vec3<u32>) {
    let count = list[0];
    if id.x >= count { return; }
    let row = list[1u + id.x];
    let mine = params.sign * scores[row * params.rounds + params.round];
    var better = 0u;
    for (var i = 0u; i < count; i++) {
        let other = list[1u + i];
        if rows[other].x != rows[row].x { continue; }
        let theirs = params.sign * scores[other * params.rounds + params.round];
        better += u32(theirs > mine || (theirs == mine && i < id.x));
    }
    granted[row].rounds = params.round + u32(better < params.keep);
}
