// Lists the rows that run the first layers now, to be guessed from: one row of each lane that still guesses, or all that are
// left. Each is set up as the row of its position; all others of the lanes are granted no round.
//
//     STEP s: row s of a ready lane, if nobody else guessed for it, s guesses were made, and another token may follow
//     REST:   all rows in use that have not run these layers
//
// A count, a scan over the workgroup's counts, a second walk. Grid: one workgroup. CPU twin: `cpu` in
// `src/kernels/drafts/follow.rs`.

struct Params {
    lanes: u32,
    span: u32,    // rows of a lane
    base: u32,    // first row of lane 0
    step: u32,    // REST: what is left
    granted: u32, // rounds that a listed row is granted at once
    source: u32,  // who guesses
    reaches: u32, // rounds that a listed row is about to have run
}

const THREADS = 256u;
const REST = 0xffffffffu;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> control: array<Lane>;    // [lanes]
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>;  // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read_write> granted: array<Granted>; // [rows]
@group(0) @binding(4) var<storage, read_write> list: array<u32>;        // count, rows
@group(0) @binding(5) var<storage, read_write> reached: array<u32>;     // [rows]: rounds run, to be guessed from

// The listed rows of a lane: the first, and the one behind the last.
fn listed(lane: u32) -> vec2<u32> {
    let how = control[lane];
    if how.phase != READY { return vec2<u32>(0u); }
    if params.step == REST { return vec2<u32>(min(how.shallow, how.rows), how.rows); }
    let own = how.guesses == 0u || how.source == params.source;
    let follows = own && how.guesses == params.step && how.shallow == params.step && params.step + 1u < how.remaining;
    return select(vec2<u32>(0u), vec2<u32>(params.step, params.step + 1u), follows);
}

@compute @workgroup_size(THREADS)
fn follow(@builtin(local_invocation_index) thread: u32) {
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
        for (var i = 0u; i < params.span; i++) {
            let row = params.base + lane * params.span + i;
            if i < own.x || i >= own.y {
                granted[row] = Granted(0u, 0u);
                continue;
            }
            let position = control[lane].position + i;
            rows[row] = vec4<u32>(lane, position, 0u, position);
            granted[row] = Granted(params.granted, 0u);
            reached[row] = params.reaches;
            list[1u + place] = row;
            place++;
        }
        if own.y > own.x {
            control[lane].shallow = own.y;
            if params.step != REST { control[lane].source = params.source; }
        }
    }
    if thread == THREADS - 1u { list[0] = place; }
}
