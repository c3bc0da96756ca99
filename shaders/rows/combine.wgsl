// Moves rows between the residual stream and the block that works on them.
//
//     MODE 0: output = input        MODE 1: output += factor(row) * input        MODE 2: output += input
//
// Grid: (rows of the list in turns, stride / 64). CPU twin: `cpu` in `src/kernels/rows/combine.rs`.

struct Params {
    stride: u32, // vectors per row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;        // [rows, stride]
@group(0) @binding(2) var<storage, read> factors: array<f32>;              // [rows]
@group(0) @binding(3) var<storage, read> list: array<u32>;               // count, rows
@group(0) @binding(4) var<storage, read_write> output: array<vec4<f32>>; // [rows, stride]

@compute @workgroup_size(64)
fn combine(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group.y * 64u + thread;
    if i >= params.stride { return; }
    for (var place = group.x; place < list[0]; place += grid.x) { combine_row(list[1u + place], i); }
}

fn combine_row(row: u32, i: u32) {
    let at = row * params.stride + i;
    switch MODE {
        case 0u: { output[at] = input[at]; }
        case 1u: { output[at] = fma(vec4<f32>(factors[row]), input[at], output[at]); }
        default: { output[at] += input[at]; }
    }
}
