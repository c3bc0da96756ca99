// Tells the token that the first layers drew for the newest row of a lane, where they are sure enough; the row then waits for the
// other layers, and those before it go on waiting. Otherwise all rows of the lane go deeper in this pass.
//
//     tested: rows in use + rows counted as waiting < rows that may be
//     told:   tested, and score > threshold; or >= where equal is enough
//
// Events are appended in the order of the list. A count, a scan over the workgroup's counts, a second walk. Grid: one workgroup.
// CPU twin: `cpu` in `src/kernels/deferring/commit.rs`.

struct Params {
    rounds: u32,    // scores per row
    stride: u32,    // words per event
    most: u32,      // events that the buffer holds
    list: u32,      // where the list begins in `lists`
    ends: u32,      // where the end tokens begin there
    depth: u32,     // rounds that the listed rows have run
    most_rows: u32, // rows of a lane that may be in use
    equal: u32,     // 1: a score that is the threshold is enough
    last: u32,      // 1: who is not sure runs all layers
}

struct Waiting {
    threshold: f32,
    counted: u32, // rows that waited when the lane was read again, and count as waiting until a pass is whole
}

const THREADS = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lists: array<u32>;              // lists of count, rows (one of a lane) or end tokens
@group(0) @binding(2) var<storage, read> drawn: array<u32>;              // [places, DRAWN]: token, bits of its log-probability; alternatives
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;         // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read> scores: array<u32>;             // [rows, rounds], bits
@group(0) @binding(5) var<storage, read_write> control: array<Lane>;     // [lanes]
@group(0) @binding(6) var<storage, read_write> events: array<u32>;       // count, 3 unused words, [events, stride]
@group(0) @binding(7) var<storage, read_write> waiting: array<Waiting>;  // [lanes]
@group(0) @binding(8) var<storage, read_write> best: array<u32>;         // [rows]: most probable token; none where it was not tested

fn row_at(place: u32) -> u32 {
    return lists[params.list + 1u + place];
}

fn is_tested(lane: u32) -> bool {
    return control[lane].rows + waiting[lane].counted < params.most_rows;
}

fn is_sure(place: u32) -> bool {
    let row = row_at(place);
    let threshold = waiting[rows[row].x].threshold;
    let score = bitcast<f32>(scores[row * params.rounds + params.depth - 1u]);
    return is_tested(rows[row].x) && (score > threshold || (params.equal == 1u && score == threshold));
}

fn tell(place: u32, event: u32) {
    let row = row_at(place);
    let lane = rows[row].x;
    let token = drawn[place * DRAWN];
    var how = control[lane];
    let ended = how.ends == 1u && is_end(token);
    var told: Event;
    told.lane = lane;
    told.serial = how.serial;
    told.token = token;
    told.log_probability = drawn[place * DRAWN + 1u];
    told.depth = params.depth;
    told.position = rows[row].y + 1u;
    told.guess = NO_TOKEN;
    told.rows = how.rows;
    told.flags = STAYS;
    how.remaining -= min(1u, how.remaining);
    told.ended = select(select(0u, 2u, how.remaining == 0u), 1u, ended);
    tell_alternatives(place, tell_event(event, told, row));
    how.rows += 1u;
    how.phase = select(WAITING, IDLE, told.ended > 0u);
    control[lane] = how;
}

fn go_deeper(place: u32) {
    let row = row_at(place);
    let lane = rows[row].x;
    if !is_tested(lane) { best[row] = NO_TOKEN; }
    if params.last == 1u { waiting[lane].counted = 0u; }
}

@compute @workgroup_size(THREADS)
fn commit(@builtin(local_invocation_index) thread: u32) {
    let count = lists[params.list];
    let before = events[0];
    let share = (count + THREADS - 1u) / THREADS;
    let begin = min(thread * share, count);
    let end = min(begin + share, count);
    var sure = 0u;
    for (var place = begin; place < end; place++) { sure += u32(is_sure(place)); }
    let behind = before + sum_before(thread, sure);
    var event = behind;
    for (var place = begin; place < end; place++) {
        if is_sure(place) {
            tell(place, event);
            event++;
        } else {
            go_deeper(place);
        }
    }
    if thread == THREADS - 1u { events[0] = behind + sure; }
}
