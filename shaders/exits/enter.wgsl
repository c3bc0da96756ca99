// Sends the next token of each ready lane, and guesses behind it, to round 0 and lists who runs a round now; nobody asks
// the host.
//
//     entering: rows of ready lanes     deeper: rows between two rounds     live: both, in the order of the lanes
//
// Rows of a lane: base + lane * span + i, where i counts what it has in use. Mixed: a row runs one round per tick, at a
// round of its own, so its place in that round's cache is handed out here. In waves all rounds of a token are run in one
// tick and `bucket` hands out the places. Grid: one workgroup. CPU twin: `cpu` in `src/kernels/exits/enter.rs`.

struct Params {
    lanes: u32,
    span: u32,       // rows of a lane
    base: u32,       // first row of lane 0
    classes: u32,
    class_base: u32, // cache class of round 0
    class_step: u32, // classes from one round to the next
    context: u32,    // positions per lane in `reach` and `given`
    granted: u32,    // rounds that a row is granted at once; 0: the gate grants them
    mixed: u32,
    list: u32,       // words from one list to the next
}

const THREADS = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> control: array<Lane>;     // [lanes]
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>;   // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read_write> granted: array<Granted>;  // [rows]
@group(0) @binding(4) var<storage, read_write> lengths: array<u32>;      // [lanes, classes]: entries in the cache
@group(0) @binding(5) var<storage, read_write> reach: array<u32>;        // [lanes, context]: rounds run by a position
@group(0) @binding(6) var<storage, read> given: array<u32>;              // [lanes, context]: rounds to be run by it
@group(0) @binding(7) var<storage, read_write> lists: array<u32>;        // entering, deeper, live: each count, rows

var<workgroup> counts: array<vec2<u32>, THREADS>; // rows that enter, rows that go deeper

fn first_row(lane: u32) -> u32 {
    return params.base + lane * params.span;
}

// Whether a row between two rounds has another before it: the others of its lane may be deeper.
fn goes_deeper(row: u32) -> bool {
    return granted[row].rounds > rows[row].z + 1u;
}

// How many rows of a lane enter, and how many go deeper.
fn count_rows(lane: u32) -> vec2<u32> {
    let phase = control[lane].phase;
    let used = control[lane].rows;
    if phase == READY { return vec2<u32>(used, 0u); }
    var deeper = 0u;
    if phase == IN_FLIGHT {
        for (var i = 0u; i < used; i++) { deeper += u32(goes_deeper(first_row(lane) + i)); }
    }
    return vec2<u32>(0u, deeper);
}

fn enters(row: u32, lane: u32, position: u32) {
    rows[row] = vec4<u32>(lane, position, 0u, position);
    var forced = control[lane].forced;
    if control[lane].given == 1u { forced = given[lane * params.context + position]; }
    let at_once = select(params.granted, forced, forced != 0u);
    granted[row] = Granted(select(at_once, 0u, params.granted == 0u), forced);
    // A guess that was refused may have stood here.
    if params.mixed == 0u { reach[lane * params.context + position] = 0u; }
}

// A place in the cache of the round that the row runs now.
fn file(row: u32, round: u32) {
    let info = rows[row];
    let place = info.x * params.classes + params.class_base + round * params.class_step;
    rows[row].z = round;
    rows[row].w = lengths[place];
    lengths[place] += 1u;
    reach[info.x * params.context + info.y] = round + 1u;
}

@compute @workgroup_size(THREADS)
fn enter(@builtin(local_invocation_index) thread: u32) {
    let share = (params.lanes + THREADS - 1u) / THREADS;
    let begin = min(thread * share, params.lanes);
    let end = min(begin + share, params.lanes);
    var count = vec2<u32>(0u);
    for (var lane = begin; lane < end; lane++) { count += count_rows(lane); }
    counts[thread] = count;
    workgroupBarrier();
    for (var step = 1u; step < THREADS; step *= 2u) {
        var left = vec2<u32>(0u);
        if thread >= step { left = counts[thread - step]; }
        workgroupBarrier();
        counts[thread] += left;
        workgroupBarrier();
    }
    var before = counts[thread] - count;
    for (var lane = begin; lane < end; lane++) {
        let how = control[lane];
        let ready = how.phase == READY;
        let used = select(0u, how.rows, ready || how.phase == IN_FLIGHT);
        for (var i = 0u; i < used; i++) {
            let row = first_row(lane) + i;
            if !ready && !goes_deeper(row) { continue; }
            let which = u32(!ready);
            lists[which * params.list + 1u + before[which]] = row;
            lists[2u * params.list + 1u + before.x + before.y] = row;
            before[which] += 1u;
            var round = 0u;
            if ready { enters(row, lane, how.position + i); } else { round = rows[row].z + 1u; }
            if params.mixed == 1u { file(row, round); }
        }
        if ready { control[lane].phase = IN_FLIGHT; }
        if params.mixed == 1u { continue; }
        // A row in waves is listed by what it is granted.
        for (var i = used; i < params.span; i++) { granted[first_row(lane) + i] = Granted(0u, 0u); }
    }
    if thread == THREADS - 1u {
        lists[0] = before.x;
        lists[params.list] = before.y;
        lists[2u * params.list] = before.x + before.y;
    }
}
