// How settled a row is, by one linear head over its state.
//
//     score = 1 / (1 + exp(-(weight . state + bias)))
//
// Grid: rows of the list in turns. CPU twin: `cpu` in `src/kernels/exits/settled.rs`.

struct Params {
    width: u32,  // vectors per row
    rounds: u32, // scores kept per row
    depth: u32,  // rounds that the rows have run
    bias: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> stream: array<vec4<f32>>;  // [rows, width]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;  // [width]
@group(0) @binding(3) var<storage, read> list: array<u32>;          // count, rows
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;  // [rows, rounds]

@compute @workgroup_size(WG)
fn settled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { score(list[1u + place], thread); }
}

fn score(row: u32, thread: u32) {
    var sum = vec4<f32>(0.0);
    for (var i = thread; i < params.width; i += WG) { sum = fma(stream[row * params.width + i], weight[i], sum); }
    let found = workgroup_sum(thread, (sum.x + sum.y) + (sum.z + sum.w)) + params.bias;
    if thread == 0u { scores[row * params.rounds + params.depth] = 1.0 / (1.0 + exp(-clamp(found, -80.0, 80.0))); }
}
