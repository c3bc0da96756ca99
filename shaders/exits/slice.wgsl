// A piece of a list, as a list: for kernels whose results have room for so many rows.
//
//     piece = min(most, count - from) rows from place `from` on
//
// Grid: one workgroup per 64 places. CPU twin: `cpu` in `src/kernels/exits/slice.rs`.

struct Params {
    first: u32, // first place
    most: u32,  // places of the piece
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> list: array<u32>;        // count, rows
@group(0) @binding(2) var<storage, read_write> piece: array<u32>; // count, rows

@compute @workgroup_size(64)
fn slice(@builtin(global_invocation_id) id: vec3<u32>) {
    let count = min(params.most, list[0] - min(params.first, list[0]));
    if id.x == 0u { piece[0] = count; }
    if id.x < count { piece[1u + id.x] = list[1u + params.first + id.x]; }
}
