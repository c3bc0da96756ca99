// Carries the final state of the last row that stays of each lane to its first row: the state that its next token came from.
//
//     states[first row of the lane] = normed[row]          for the last row that stays, or a row that read a prompt
//
// Grid: rows of the list in turns. CPU twin: `cpu` in `src/kernels/drafts/carry.rs`.

struct Params {
    base: u32,   // first row of lane 0
    span: u32,   // rows of a lane
    stride: u32, // vectors per row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> list: array<u32>;               // count, rows
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;         // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read> control: array<Lane>;           // [lanes]
@group(0) @binding(4) var<storage, read> normed: array<vec4<f32>>;       // [rows, stride]
@group(0) @binding(5) var<storage, read_write> states: array<vec4<f32>>; // [rows, stride]

@compute @workgroup_size(64)
fn carry(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { carry_row(list[1u + place], thread); }
}

fn carry_row(row: u32, thread: u32) {
    let lane = rows[row].x;
    let first = params.base + lane * params.span;
    if row >= params.base && row + 1u != first + control[lane].kept { return; }
    for (var i = thread; i < params.stride; i += 64u) {
        states[first * params.stride + i] = normed[row * params.stride + i];
    }
}
