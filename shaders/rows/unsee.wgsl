// Takes back that a lane has seen the tokens of guesses that were refused (for the repeat penalty).
//
//     a refused row's token stays seen where the lane had seen it before the row, or a row that stays has it
//
// Rows of a lane: base + lane * span + i; the first `kept` of those in use stay. Where equal tokens of a lane were noted at
// once, any of them may be the one that found the bit clear, so the rows that stay are asked as well.
// Grid: one thread per lane. CPU twin: `cpu` in `src/kernels/rows/unsee.rs`.

struct Params {
    lanes: u32,
    span: u32,        // rows of a lane
    base: u32,        // first row of lane 0
    seen_stride: u32, // words of a lane's set of seen tokens
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> control: array<Lane>;    // [lanes]
@group(0) @binding(2) var<storage, read> kept: array<u32>;        // [lanes]: rows that stay
@group(0) @binding(3) var<storage, read> noted: array<vec2<u32>>; // [rows]: token; 1 where its lane had not seen it
@group(0) @binding(4) var<storage, read_write> seen: array<u32>;  // [lanes, seen_stride]: a bit per token

@compute @workgroup_size(64)
fn unsee(@builtin(global_invocation_id) id: vec3<u32>) {
    let lane = id.x;
    if lane >= params.lanes { return; }
    let first = params.base + lane * params.span;
    let stay = min(kept[lane], control[lane].rows);
    for (var i = 0u; i < control[lane].rows; i++) {
        let token = noted[first + i].x;
        if noted[first + i].y == 0u { continue; }
        var stays = i < stay;
        for (var j = 0u; j < stay; j++) { stays = stays || noted[first + j].x == token; }
        if stays { continue; }
        let word = lane * params.seen_stride + token / 32u;
        seen[word] = seen[word] & ~(1u << (token % 32u));
    }
}
