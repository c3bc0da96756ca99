// Whether rows that were measured go on or leave: the rule of an exit mode, with a threshold that sinks within a text.
//
//     goes on to `next` rounds iff goes_on(score, score, threshold * fade[t], depth)
//     t: tokens of the text that were decided before the row
//
// Grid: one workgroup per 64 places. CPU twin: `cpu` in `src/kernels/exits/verdict.rs`.

struct Params {
    rounds: u32,    // scores kept per row
    depth: u32,     // rounds that the rows have run
    next: u32,      // rounds that a row has run which goes on, when it is asked again or at the end
    context: u32,   // factors in `fade`
    threshold: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;            // [rows, rounds]
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;        // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read> control: array<Lane>;          // [lanes]
@group(0) @binding(4) var<storage, read> fade: array<f32>;              // [context]
@group(0) @binding(5) var<storage, read> list: array<u32>;              // count, rows
@group(0) @binding(6) var<storage, read_write> granted: array<Granted>; // [rows]

@compute @workgroup_size(64)
fn verdict(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= list[0] { return; }
    let row = list[1u + id.x];
    let info = rows[row];
    let decided = info.y - min(info.y, control[info.x].begins);
    let threshold = params.threshold * fade[min(decided, params.context - 1u)];
    let score = scores[row * params.rounds + params.depth];
    if goes_on(score, score, threshold, params.depth) { granted[row].rounds = params.next; }
}
