// Tells the host, of rows that have run all layers, whether the most probable token is the one that the first layers found.
//
// Events are appended in the order of the list. Grid: one workgroup. CPU twin: `cpu` in `src/kernels/deferring/agree.rs`.

struct Params {
    rounds: u32, // scores per row
    stride: u32, // words per event
    most: u32,   // events that the buffer holds
    depth: u32,  // rounds behind which the first layers end
}

const THREADS = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> list: array<u32>;         // count, rows
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;   // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read> control: array<Lane>;     // [lanes]
@group(0) @binding(4) var<storage, read> best: array<u32>;         // [rows]: most probable token of the first layers, or none
@group(0) @binding(5) var<storage, read> whole: array<u32>;        // [rows]: that of all layers
@group(0) @binding(6) var<storage, read> scores: array<u32>;       // [rows, rounds], bits
@group(0) @binding(7) var<storage, read_write> events: array<u32>; // count, 3 unused words, [events, stride]

@compute @workgroup_size(THREADS)
fn agree(@builtin(local_invocation_index) thread: u32) {
    let count = list[0];
    let before = events[0];
    workgroupBarrier();
    for (var place = thread; place < count; place += THREADS) {
        let row = list[1u + place];
        let how = control[rows[row].x];
        var told: Event;
        told.lane = NOBODY;
        told.serial = how.serial;
        told.token = whole[row];
        told.depth = params.depth;
        told.position = rows[row].y + 1u;
        told.guess = best[row];
        told.rows = how.rows;
        told.flags = COMPARED;
        _ = tell_event(before + place, told, row);
    }
    if thread == 0u { events[0] = before + count; }
}
