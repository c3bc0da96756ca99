// Recursion encoding: a learned vector of the row's round multiplies the block's output.
//
//     hidden *= encoding[round]
//
// Grid: (rows of the list, stride / 64). CPU twin: `cpu` in `src/kernels/rows/encode.rs`.

struct Params {
    stride: u32,      // vectors per row
    bank_stride: u32, // vectors from one round's encoding to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> encoding: array<vec4<f32>>;     // [rounds, stride]
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;         // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read> list: array<u32>;               // count, rows
@group(0) @binding(4) var<storage, read_write> hidden: array<vec4<f32>>; // [rows, stride]

@compute @workgroup_size(64)
fn encode(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.y * 64u + thread;
    if group.x >= list[0] || i >= params.stride { return; }
    let row = list[1u + group.x];
    hidden[row * params.stride + i] *= encoding[rows[row].z * params.bank_stride + i];
}
