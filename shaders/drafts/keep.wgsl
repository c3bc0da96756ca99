// What is left of the rows that a lane computed: those that were refused leave the counts of its cache, and the tokens of
// guesses that were accepted are seen from now on.
//
//     lengths[class of round r] -= refused rows that ran round r          seen |= tokens of accepted guesses
//
// Rows of a lane: base + lane * span + i; the first `kept` of those in use stay. Lanes whose rows are still under way are left
// alone. Grid: one thread per lane. CPU twin: `cpu` in `src/kernels/drafts/keep.rs`.

struct Params {
    lanes: u32,
    span: u32,        // rows of a lane
    base: u32,        // first row of lane 0
    seen_stride: u32, // words of a lane's set of seen tokens
    classes: u32,
    class_base: u32,  // cache class of round 0
    class_step: u32,  // classes from one round to the next
    rounds: u32,      // whose entries are counted; 0 where entries lie by position
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> control: array<Lane>; // [lanes]
@group(0) @binding(2) var<storage, read> granted: array<Granted>;    // [rows]
@group(0) @binding(3) var<storage, read> tokens: array<u32>;         // [rows]: a guess's token
@group(0) @binding(4) var<storage, read_write> seen: array<u32>;     // [lanes, seen_stride]: a bit per token
@group(0) @binding(5) var<storage, read_write> lengths: array<u32>;  // [lanes, classes]: entries in the cache

@compute @workgroup_size(64)
fn keep(@builtin(global_invocation_id) id: vec3<u32>) {
    let lane = id.x;
    if lane >= params.lanes { return; }
    var how = control[lane];
    if how.phase != READY { return; }
    let first = params.base + lane * params.span;
    for (var i = 1u; i < how.kept; i++) {
        let token = tokens[first + i];
        seen[lane * params.seen_stride + token / 32u] |= 1u << (token % 32u);
    }
    for (var i = how.kept; i < how.rows; i++) {
        for (var round = 0u; round < min(params.rounds, granted[first + i].rounds); round++) {
            lengths[lane * params.classes + params.class_base + round * params.class_step] -= 1u;
        }
    }
    how.rows = 1u;
    how.kept = 1u;
    how.guesses = 0u;
    how.shallow = 0u;
    control[lane] = how;
}
