// Lists rows of lanes whose deeper layers may be put off: the newest row of each, those that wait before it, or both.
//
//     rows of a lane: base + lane * span + i; those that wait are the first, the newest is the last in use
//
// Where a pass begins, a lane whose rows have all run everything has one row in use, the others one more than wait; listed rows
// are set up for their positions. A count, a scan over the workgroup's counts, a second walk. Grid: one workgroup. CPU twin:
// `cpu` in `src/kernels/deferring/line_up.rs`.

struct Params {
    lanes: u32,
    span: u32,   // rows of a lane
    base: u32,   // first row of lane 0
    which: u32,  // NEWEST, OLDER, ALL
    phase: u32,  // of the lanes that are listed
    begins: u32, // 1: a pass begins, whatever the phase: of all lanes that can enter
}

const THREADS = 256u;
const NEWEST = 0u;
const OLDER = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> control: array<Lane>;   // [lanes]
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>; // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read_write> list: array<u32>;       // count, rows

// The listed rows of a lane: the first, and the one behind the last.
fn listed(lane: u32) -> vec2<u32> {
    let how = control[lane];
    var used = how.rows;
    if params.begins == 1u {
        if how.phase != READY && how.phase != WAITING { return vec2<u32>(0u); }
        if how.phase == READY { used = 1u; }
    } else if how.phase != params.phase {
        return vec2<u32>(0u);
    }
    if params.which == NEWEST { return vec2<u32>(used - 1u, used); }
    return vec2<u32>(0u, select(used, used - 1u, params.which == OLDER));
}

@compute @workgroup_size(THREADS)
fn line_up(@builtin(local_invocation_index) thread: u32) {
    let share = (params.lanes + THREADS - 1u) / THREADS;
    let begin = min(thread * share, params.lanes);
    let end = min(begin + share, params.lanes);
    var count = 0u;
    for (var lane = begin; lane < end; lane++) {
        let own = listed(lane);
        count += own.y - own.x;
    }
    var place = sum_before(thread, count);
    for (var lane = begin; lane < end; lane++) {
        let own = listed(lane);
        for (var i = own.x; i < own.y; i++) {
            let row = params.base + lane * params.span + i;
            list[1u + place] = row;
            place++;
            if params.begins == 0u { continue; }
            let position = control[lane].position + i;
            rows[row] = vec4<u32>(lane, position, 0u, position);
        }
        if params.begins == 1u && own.y > own.x {
            control[lane].rows = own.y;
            control[lane].phase = READY;
        }
    }
    if thread == THREADS - 1u { list[0] = place; }
}
