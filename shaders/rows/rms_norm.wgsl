// Root-mean-square normalisation with a learned weight.
//
//     output = weight * input / sqrt(mean(input^2) + epsilon)      MODE 1: output += the same
//
// Weights of several rounds stand one behind the other. Grid: rows of the list in turns.
// CPU twin: `cpu` in `src/kernels/rows/rms_norm.rs`.

struct Params {
    width: u32,       // numbers per row
    stride: u32,      // vectors per row; numbers beyond the width are zero
    bank_stride: u32, // vectors from one round's weight to the next, 0 where all rounds share one
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;        // [rows, stride]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;       // [rounds, stride]
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;         // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read> list: array<u32>;               // count, rows
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>; // [rows, stride]

@compute @workgroup_size(WG)
fn rms_norm(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { normalise(list[1u + place], place, thread); }
}

fn normalise(row: u32, place: u32, thread: u32) {
    let start = row * params.stride;
    var squares = vec4<f32>(0.0);
    for (var i = thread; i < params.stride; i += WG) {
        let x = input[start + i];
        squares = fma(x, x, squares);
    }
    let sum = workgroup_sum(thread, (squares.x + squares.y) + (squares.z + squares.w));
    let factor = inverseSqrt(sum / f32(params.width) + params.epsilon);
    let bank = rows[row].z * params.bank_stride;
    for (var i = thread; i < params.stride; i += WG) {
        var x = weight[bank + i] * (input[start + i] * factor);
        if MODE == 1u { x += output[start + i]; }
        output[start + i] = x;
        share(place * params.stride + i, x);
    }
}
