// Tells the host of each drawn token, checks the guesses, and decides whether a lane goes on: the GPU itself ends a sequence.
//
//     ended by an end token, or by its length: the lane is idle; otherwise its next token may enter
//     a row stays if all before it do, and its token, a guess, is what was drawn for the row before
//
// Rows of a lane stand side by side in the list, oldest first, and are told in that order; none behind the end, or behind
// the first guess that is refused.
// Events are appended in the order of the list. Grid: one workgroup. CPU twin: `cpu` in `src/kernels/exits/finish.rs`.

struct Params {
    rounds: u32, // scores per row
    stride: u32, // words per event: EVENT_HEAD, a score for each round, alternatives
    most: u32,   // events that the buffer holds
    list: u32,   // where the list begins in `lists`
    ends: u32,   // where the end tokens begin there
    base: u32,   // first row of lane 0
    span: u32,   // rows of a lane
}

const THREADS = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lists: array<u32>;            // lists of count, rows or end tokens
@group(0) @binding(2) var<storage, read> drawn: array<u32>;            // [places, DRAWN]: token, bits of its log-probability; alternatives
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;       // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read> granted: array<Granted>;      // [rows]
@group(0) @binding(5) var<storage, read> scores: array<u32>;           // [rows, rounds], bits
@group(0) @binding(6) var<storage, read_write> control: array<Lane>;   // [lanes]
@group(0) @binding(7) var<storage, read_write> events: array<u32>;     // count, 3 unused words, [events, stride]
@group(0) @binding(8) var<storage, read> tokens: array<u32>;           // [rows]: a guess's token

fn row_at(place: u32) -> u32 {
    return lists[params.list + 1u + place];
}

// What was guessed to follow a row, whether it is checked or not.
fn guess_behind(row: u32, guesses: u32) -> u32 {
    if row < params.base || (row - params.base) % params.span >= guesses { return NO_TOKEN; }
    return tokens[row + 1u];
}

// The token drawn for the row at a place of the list, which stays or not; its event is told at `event`. Whether the row
// behind it stays.
fn tell(place: u32, event: u32, stays: bool) -> bool {
    let row = row_at(place);
    let lane = rows[row].x;
    let token = drawn[place * DRAWN];
    var how = control[lane];
    let open = stays && how.phase != IDLE;
    let guess = guess_behind(row, how.guesses);
    let ended = how.ends == 1u && is_end(token);
    how.remaining -= min(1u, how.remaining);
    how.position = rows[row].y + 1u;
    how.phase = select(READY, IDLE, ended || how.remaining == 0u);
    how.kept += 1u;
    if open { control[lane] = how; }
    var flags = select(0u, STAYS, stays);
    if row >= params.base && (row - params.base) % params.span + 1u < how.rows { flags |= CHECKED; }
    var told: Event;
    told.lane = select(NOBODY, lane, open);
    told.serial = how.serial;
    told.token = token;
    told.log_probability = drawn[place * DRAWN + 1u];
    told.depth = granted[row].rounds;
    told.position = how.position;
    told.ended = select(select(0u, 2u, how.remaining == 0u), 1u, ended);
    told.guess = guess;
    told.rows = how.rows;
    told.source = how.source;
    told.flags = flags;
    tell_alternatives(place, tell_event(event, told, row));
    return guess == token;
}

@compute @workgroup_size(THREADS)
fn finish(@builtin(local_invocation_index) thread: u32) {
    let count = lists[params.list];
    let before = events[0];
    workgroupBarrier();
    for (var first = thread; first < count; first += THREADS) {
        let lane = rows[row_at(first)].x;
        if first > 0u && rows[row_at(first - 1u)].x == lane { continue; }
        // One thread for all rows of a lane, one after the other.
        control[lane].kept = 0u;
        var stays = true;
        for (var place = first; place < count && rows[row_at(place)].x == lane; place++) {
            stays = tell(place, before + place, stays) && stays;
        }
    }
    if thread == 0u { events[0] = before + count; }
}
