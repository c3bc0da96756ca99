// Guesses that a text goes on as it did before: behind the longest end of it that stands in it already, the latest one.
//
//     match(j) = tokens that are equal going back from j and from the end, at most `longest`
//     guesses = what follows the j < end with the greatest match, if that is at least `least`; ties to the greatest j
//
// What follows may reach beyond the end: then the guesses repeat themselves. Grid: one workgroup per lane.
// CPU twin: `cpu` in `src/kernels/drafts/lookup.rs`.

struct Params {
    lanes: u32,
    span: u32,    // rows of a lane
    base: u32,    // first row of lane 0
    context: u32, // positions of a lane in `history`
    least: u32,   // tokens of a match
    longest: u32,
    most: u32,    // guesses that are checked
    source: u32,  // who guesses
}

const THREADS = 64u;
const PLACES = 24u; // bits of a place beside its match

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> control: array<Lane>; // [lanes]
@group(0) @binding(2) var<storage, read> history: array<u32>;        // [lanes, context]: token at each position
@group(0) @binding(3) var<storage, read_write> tokens: array<u32>;   // [rows]: a guess's token

var<workgroup> best: array<u32, THREADS>;

// The best place among those that a thread looks at, behind the length of its match.
fn search(lane: u32, end: u32, thread: u32) -> u32 {
    let start = lane * params.context;
    var found = 0u;
    for (var j = thread; j < end; j += THREADS) {
        let most = min(j + 1u, params.longest);
        var count = 0u;
        while count < most && history[start + j - count] == history[start + end - count] { count++; }
        if count >= params.least { found = max(found, (count << PLACES) | j); }
    }
    return found;
}

@compute @workgroup_size(THREADS)
fn lookup(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = group.x;
    var how = control[lane];
    var own = 0u;
    if how.phase == READY && how.guesses == 0u { own = search(lane, how.position, thread); }
    best[thread] = own;
    workgroupBarrier();
    if thread > 0u { return; }
    var found = 0u;
    for (var i = 0u; i < THREADS; i++) { found = max(found, best[i]); }
    if found == 0u { return; }
    let follows = (found & ((1u << PLACES) - 1u)) + 1u;
    let first = params.base + lane * params.span;
    for (var i = 1u; i < params.span; i++) {
        let place = follows + i - 1u;
        if place <= how.position {
            tokens[first + i] = history[lane * params.context + place];
        } else {
            tokens[first + i] = tokens[first + place - how.position];
        }
    }
    how.guesses = params.span - 1u;
    how.rows = 1u + min(min(params.most, how.guesses), how.remaining - 1u);
    how.source = params.source;
    control[lane] = how;
}
