// Joins what a jump reads: the state that a row's token came from, and the row's embedding.
//
//     joined[row] = [state, hidden[row]]      state: states[row] at the first row of a lane, else made[row - 1]
//
// Grid: rows of the list in turns. CPU twin: `cpu` in `src/kernels/drafts/join.rs`.

struct Params {
    base: u32,   // first row of lane 0
    span: u32,   // rows of a lane
    stride: u32, // vectors per row of each part
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> list: array<u32>;               // count, rows
@group(0) @binding(2) var<storage, read> states: array<vec4<f32>>;       // [rows, stride]
@group(0) @binding(3) var<storage, read> made: array<vec4<f32>>;         // [rows, stride]: states that were guessed
@group(0) @binding(4) var<storage, read> hidden: array<vec4<f32>>;       // [rows, stride]
@group(0) @binding(5) var<storage, read_write> joined: array<vec4<f32>>; // [rows, 2 * stride]

@compute @workgroup_size(64)
fn join(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { join_row(list[1u + place], thread); }
}

fn join_row(row: u32, thread: u32) {
    let first = (row - params.base) % params.span == 0u;
    let begin = select(row - 1u, row, first) * params.stride;
    let to = row * 2u * params.stride;
    for (var i = thread; i < params.stride; i += 64u) {
        var state = states[begin + i];
        if !first { state = made[begin + i]; }
        joined[to + i] = state;
        joined[to + params.stride + i] = hidden[row * params.stride + i];
    }
}
