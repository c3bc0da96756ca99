// Tells the host of each drawn token and decides whether its lane goes on: the GPU itself ends a sequence.
//
//     ended by an end token, or by its length: the lane is idle; otherwise its next token may enter
//
// Events are appended in the order of the list. Grid: one workgroup. CPU twin: `cpu` in `src/kernels/exits/finish.rs`.

struct Params {
    rounds: u32, // scores per row
    stride: u32, // words per event: EVENT_HEAD, a score for each round, alternatives
    most: u32,   // events that the buffer holds
}

const THREADS = 256u;
const EVENT_HEAD = 8u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> list: array<u32>;             // count, rows
@group(0) @binding(2) var<storage, read> drawn: array<u32>;            // [places, DRAWN]: token, bits of its log-probability; alternatives
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;       // [rows]: lane, position, depth, KV index
@group(0) @binding(4) var<storage, read> granted: array<Granted>;      // [rows]
@group(0) @binding(5) var<storage, read> scores: array<u32>;           // [rows, rounds], bits
@group(0) @binding(6) var<storage, read> ends: array<u32>;             // count, end tokens
@group(0) @binding(7) var<storage, read_write> control: array<Lane>;   // [lanes]
@group(0) @binding(8) var<storage, read_write> events: array<u32>;     // count, 3 unused words, [events, stride]

fn is_end(token: u32) -> bool {
    for (var i = 0u; i < ends[0]; i++) {
        if ends[1u + i] == token { return true; }
    }
    return false;
}

@compute @workgroup_size(THREADS)
fn finish(@builtin(local_invocation_index) thread: u32) {
    let count = list[0];
    let before = events[0];
    workgroupBarrier();
    for (var place = thread; place < count; place += THREADS) {
        let row = list[1u + place];
        let lane = rows[row].x;
        let token = drawn[place * DRAWN];
        var how = control[lane];
        let open = how.phase != IDLE;
        let ended = how.ends == 1u && is_end(token);
        how.remaining -= min(1u, how.remaining);
        how.position = rows[row].y + 1u;
        how.phase = select(READY, IDLE, ended || how.remaining == 0u);
        if open { control[lane] = how; }
        let at = 4u + (before + place) * params.stride;
        if before + place >= params.most { continue; }
        events[at] = select(0xffffffffu, lane, open);
        events[at + 1u] = how.serial;
        events[at + 2u] = token;
        events[at + 3u] = drawn[place * DRAWN + 1u];
        events[at + 4u] = granted[row].rounds;
        events[at + 5u] = how.position;
        events[at + 6u] = select(select(0u, 2u, how.remaining == 0u), 1u, ended);
        events[at + 7u] = 0u;
        for (var i = 0u; i < params.rounds; i++) { events[at + EVENT_HEAD + i] = scores[row * params.rounds + i]; }
        let behind = at + EVENT_HEAD + params.rounds;
        for (var i = 2u; i < DRAWN; i++) { events[behind + i - 2u] = drawn[place * DRAWN + i]; }
    }
    if thread == 0u { events[0] = before + count; }
}
