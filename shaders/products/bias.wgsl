// Adds the bias of a linear to its outputs.
//
//     output[row] += bias
//
// Grid: (rows of the list, outputs / 64). CPU twin: `cpu` in `src/kernels/products/bias.rs`.

struct Params {
    outputs: u32,
    stride: u32, // numbers per output row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> numbers: array<f32>;         // [outputs or more]
@group(0) @binding(2) var<storage, read> list: array<u32>;         // count, rows
@group(0) @binding(3) var<storage, read_write> output: array<f32>; // [rows, stride]

@compute @workgroup_size(64)
fn bias(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.y * 64u + thread;
    if group.x >= list[0] || i >= params.outputs { return; }
    let at = list[1u + group.x] * params.stride + i;
    output[at] += numbers[i];
}
