// Sends the next token of each ready lane to depth 0 and lists who runs a round now; nobody asks the host.
//
//     entering: ready lanes        deeper: lanes between two rounds        live: both, in the order of the lanes
//
// Mixed: a lane runs one round per tick, at a depth of its own, so its place in that depth's cache is handed out here.
// In waves all rounds of a token are run in one tick and `bucket` hands out the places. Grid: one workgroup.
// CPU twin: `cpu` in `src/kernels/exits/enter.rs`.

struct Params {
    lanes: u32,
    base: u32,       // row of lane 0
    classes: u32,
    class_base: u32, // cache class of round 0
    class_step: u32, // classes from one round to the next
    context: u32,    // positions per lane in `reach`
    granted: u32,    // rounds that a row is granted at once; 0: the gate grants them
    mixed: u32,
}

const THREADS = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> control: array<Lane>;     // [lanes]
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>;   // [rows]: lane, position, depth, KV index
@group(0) @binding(3) var<storage, read_write> granted: array<Granted>;  // [rows]
@group(0) @binding(4) var<storage, read_write> lengths: array<u32>;      // [lanes, classes]: entries in the cache
@group(0) @binding(5) var<storage, read_write> reach: array<u32>;        // [lanes, context]: rounds run by a position
@group(0) @binding(6) var<storage, read_write> entering: array<u32>;     // count, rows
@group(0) @binding(7) var<storage, read_write> deeper: array<u32>;   // count, rows
@group(0) @binding(8) var<storage, read_write> live: array<u32>;         // count, rows

var<workgroup> counts: array<u32, THREADS>; // deeper << 16 | entering

fn kind(lane: u32) -> u32 {
    let phase = control[lane].phase;
    return select(0u, 1u, phase == READY) + select(0u, 0x10000u, phase == IN_FLIGHT);
}

// Depth by lot: the same for the same seed and position.
fn drawn_depth(how: Lane) -> u32 {
    var h = (how.position ^ (how.drawn1 << 16u)) * 0x9e3779b1u;
    h = (h ^ (h >> 16u)) * 0x85ebca6bu;
    h = (h ^ (h >> 13u)) * 0xc2b2ae35u;
    let lot = (h ^ (h >> 16u)) & 0xffffu;
    let two = how.drawn0 >> 16u;
    let three = how.drawn0 & 0xffffu;
    let four = how.drawn1 >> 16u;
    return 1u + u32(lot < two) + u32(lot < three) + u32(lot < four);
}

// The lane's row at its next round.
fn advance(lane: u32, enters: bool) {
    let row = params.base + lane;
    var depth = 0u;
    if enters {
        let how = control[lane];
        control[lane].phase = IN_FLIGHT;
        rows[row] = vec4<u32>(lane, how.position, 0u, how.position);
        let forced = select(how.forced, drawn_depth(how), how.drawn1 != 0u);
        let at_once = select(params.granted, forced, forced != 0u);
        granted[row] = Granted(select(at_once, 0u, params.granted == 0u), forced);
    } else {
        depth = rows[row].z + 1u;
    }
    if params.mixed == 0u { return; }
    let place = lane * params.classes + params.class_base + depth * params.class_step;
    rows[row].z = depth;
    rows[row].w = lengths[place];
    lengths[place] += 1u;
    reach[lane * params.context + rows[row].y] = depth + 1u;
}

@compute @workgroup_size(THREADS)
fn enter(@builtin(local_invocation_index) thread: u32) {
    let share = (params.lanes + THREADS - 1u) / THREADS;
    let begin = min(thread * share, params.lanes);
    let end = min(begin + share, params.lanes);
    var count = 0u;
    for (var lane = begin; lane < end; lane++) { count += kind(lane); }
    counts[thread] = count;
    workgroupBarrier();
    for (var step = 1u; step < THREADS; step *= 2u) {
        var left = 0u;
        if thread >= step { left = counts[thread - step]; }
        workgroupBarrier();
        counts[thread] += left;
        workgroupBarrier();
    }
    var entered = (counts[thread] - count) & 0xffffu;
    var continued = (counts[thread] - count) >> 16u;
    for (var lane = begin; lane < end; lane++) {
        let which = kind(lane);
        let row = params.base + lane;
        if which == 0u {
            // A lane in waves is listed by what it is granted.
            if params.mixed == 0u { granted[row] = Granted(0u, 0u); }
            continue;
        }
        live[1u + entered + continued] = row;
        if which == 1u {
            entering[1u + entered] = row;
            entered++;
        } else {
            deeper[1u + continued] = row;
            continued++;
        }
        advance(lane, which == 1u);
    }
    if thread == THREADS - 1u {
        entering[0] = entered;
        deeper[0] = continued;
        live[0] = entered + continued;
    }
}
