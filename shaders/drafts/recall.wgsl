// Guesses out of a text that is given, right as often as is wanted: so the machine is measured without trained weights.
//
//     guess at position p = script[p] with the given chance, by seed, lane and position; otherwise another token
//
// Grid: one thread per lane. CPU twin: `cpu` in `src/kernels/drafts/recall.rs`.

struct Params {
    lanes: u32,
    span: u32,       // rows of a lane
    base: u32,       // first row of lane 0
    context: u32,    // positions of a lane in `script`
    vocabulary: u32,
    chance: u32,     // of a right guess, in 2^32
    seed: u32,
    most: u32,       // guesses that are made and checked
    source: u32,     // who guesses
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> control: array<Lane>; // [lanes]
@group(0) @binding(2) var<storage, read> script: array<u32>;         // [lanes, context]: the text to come
@group(0) @binding(3) var<storage, read_write> tokens: array<u32>;   // [rows]: a guess's token

@compute @workgroup_size(64)
fn recall(@builtin(global_invocation_id) id: vec3<u32>) {
    let lane = id.x;
    if lane >= params.lanes { return; }
    var how = control[lane];
    if how.phase != READY || how.guesses > 0u { return; }
    let most = min(min(params.most, params.span - 1u), how.remaining - 1u);
    let first = params.base + lane * params.span;
    for (var i = 1u; i <= most; i++) {
        let position = min(how.position + i, params.context - 1u);
        let right = script[lane * params.context + position];
        let luck = mix(mix(mix(0u, params.seed), lane), position);
        tokens[first + i] = select((right + 1u) % params.vocabulary, right, luck <= params.chance && params.chance > 0u);
    }
    how.guesses = most;
    how.rows = 1u + most;
    how.source = params.source;
    control[lane] = how;
}
