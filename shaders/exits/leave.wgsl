// Lists the rows of lanes whose rows have all run the rounds they were granted, in order: they leave the block in this tick.
//
//     leaves = in flight, and granted <= rounds run, for each row that the lane has in use
//
// A count, a scan over the workgroup's counts, a second walk. Grid: one workgroup. CPU twin: `cpu` in
// `src/kernels/exits/leave.rs`.

struct Params {
    lanes: u32,
    span: u32,     // rows of a lane
    base: u32,     // first row of lane 0
    everyone: u32, // 1: whoever is in flight has run everything
}

const THREADS = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> control: array<Lane>;     // [lanes]
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;   // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read> granted: array<Granted>;  // [rows]
@group(0) @binding(4) var<storage, read_write> leaving: array<u32>; // count, rows

// How many rows of a lane leave: all or none.
fn leaving_rows(lane: u32) -> u32 {
    if control[lane].phase != IN_FLIGHT { return 0u; }
    let used = control[lane].rows;
    if params.everyone == 1u { return used; }
    for (var i = 0u; i < used; i++) {
        let row = params.base + lane * params.span + i;
        if granted[row].rounds > rows[row].z + 1u { return 0u; }
    }
    return used;
}

@compute @workgroup_size(THREADS)
fn leave(@builtin(local_invocation_index) thread: u32) {
    let share = (params.lanes + THREADS - 1u) / THREADS;
    let begin = min(thread * share, params.lanes);
    let end = min(begin + share, params.lanes);
    var count = 0u;
    for (var lane = begin; lane < end; lane++) { count += leaving_rows(lane); }
    var place = sum_before(thread, count);
    for (var lane = begin; lane < end; lane++) {
        let used = leaving_rows(lane);
        for (var i = 0u; i < used; i++) { leaving[1u + place + i] = params.base + lane * params.span + i; }
        place += used;
    }
    if thread == THREADS - 1u { leaving[0] = place; }
}
