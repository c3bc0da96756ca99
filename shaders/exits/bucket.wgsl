// Lists the rows that run a round, and gives each its place in the cache of that round.
//
//     list = rows with rounds granted > round, in order
//     KV index = entries the lane already has of this round + rank of the row among its lane's listed rows
//
// Rows of a lane stand side by side, oldest first. A count, a scan over the workgroup's counts, a second walk.
// Grid: one workgroup. CPU twin: `cpu` in `src/kernels/exits/bucket.rs`.

struct Params {
    base: u32,           // first row
    rows: u32,
    round: u32,
    row_round: u32,        // by which the row's weights and cache are looked up; 0 where a round is a slice of a stack
    classes: u32,
    class_of_round: u32, // cache class whose lengths are kept
    context: u32,        // positions per lane in `reach`
}

const THREADS = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> granted: array<Granted>;      // [rows]
@group(0) @binding(2) var<storage, read> first: array<u32>;            // [rows]: first row of the same lane
@group(0) @binding(3) var<storage, read_write> rows: array<vec4<u32>>; // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read_write> lengths: array<u32>;    // [lanes, classes]: entries in the cache
@group(0) @binding(5) var<storage, read_write> before: array<u32>;     // [rows]: listed rows before this one
@group(0) @binding(6) var<storage, read_write> reach: array<u32>;      // [lanes, context]: rounds run by a position
@group(0) @binding(7) var<storage, read_write> list: array<u32>;       // count, rows

fn listed(row: u32) -> bool {
    return granted[row].rounds > params.round;
}

@compute @workgroup_size(THREADS)
fn bucket(@builtin(local_invocation_index) thread: u32) {
    let share = (params.rows + THREADS - 1u) / THREADS;
    let begin = params.base + min(thread * share, params.rows);
    let end = min(begin + share, params.base + params.rows);
    var count = 0u;
    for (var row = begin; row < end; row++) { count += u32(listed(row)); }
    var place = sum_before(thread, count);
    for (var row = begin; row < end; row++) {
        before[row] = place;
        if listed(row) {
            list[1u + place] = row;
            place++;
        }
    }
    if thread == THREADS - 1u { list[0] = place; }
    storageBarrier();
    workgroupBarrier();
    for (var row = begin; row < end; row++) {
        if !listed(row) { continue; }
        let info = rows[row];
        let rank = before[row] - before[first[row]];
        let length = lengths[info.x * params.classes + params.class_of_round];
        rows[row] = vec4<u32>(info.x, info.y, params.row_round, length + rank);
        reach[info.x * params.context + info.y] = params.round + 1u;
    }
    storageBarrier();
    workgroupBarrier();
    for (var row = begin; row < end; row++) {
        // The last row of each lane brings the lane's length up to date.
        if row + 1u < params.base + params.rows && first[row + 1u] == first[row] { continue; }
        let added = before[row] + u32(listed(row)) - before[first[row]];
        // The first row names the lane: those behind may not be in use. Where none is, another thread may be counting there.
        if added > 0u { lengths[rows[first[row]].x * params.classes + params.class_of_round] += added; }
    }
}
