// Takes what was drawn for a row by a part of the network as a guess of what follows it; or nothing more for its lane, where
// the draw is not sure enough.
//
// Grid: one thread per place of the list. CPU twin: `cpu` in `src/kernels/drafts/propose.rs`.

struct Params {
    base: u32,                  // first row of lane 0
    span: u32,                  // rows of a lane
    least_sureness: f32, // of a guess
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> list: array<u32>;           // count, rows: at most one of each lane
@group(0) @binding(2) var<storage, read> drawn: array<u32>;          // [places, DRAWN]: token, bits of how sure it is
@group(0) @binding(3) var<storage, read_write> control: array<Lane>; // [lanes]
@group(0) @binding(4) var<storage, read_write> tokens: array<u32>;   // [rows]: a guess's token

@compute @workgroup_size(64)
fn propose(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= list[0] { return; }
    let row = list[1u + id.x];
    if bitcast<f32>(drawn[id.x * DRAWN + 1u]) < params.least_sureness { return; }
    let lane = (row - params.base) / params.span;
    let place = (row - params.base) % params.span;
    tokens[row + 1u] = drawn[id.x * DRAWN];
    control[lane].guesses = place + 1u;
    control[lane].rows = place + 2u;
}
