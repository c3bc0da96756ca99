// Lists the rows that run further layers before they are guessed from, or before they are checked.
//
//     STEP s: row s of a lane that has made s guesses so far, and no more: it was not sure enough; and, where they are asked
//             for, the rows before it, to whose keys and values it attends
//     REST:   all rows in use
//     of these, who has run `begins` rounds; they are about to have run `reaches`
//
// A count, a scan over the workgroup's counts, a second walk. Grid: one workgroup. CPU twin: `cpu` in
// `src/kernels/drafts/linger.rs`.

struct Params {
    lanes: u32,
    span: u32,    // rows of a lane
    base: u32,    // first row of lane 0
    step: u32,    // REST: all
    source: u32,  // who guesses
    begins: u32,
    reaches: u32,
    earlier: u32, // 1: the rows before that of the step as well
}

const THREADS = 256u;
const REST = 0xffffffffu;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> control: array<Lane>;      // [lanes]
@group(0) @binding(2) var<storage, read_write> reached: array<u32>; // [rows]: rounds run, to be guessed from
@group(0) @binding(3) var<storage, read_write> list: array<u32>;    // count, rows

fn listed(lane: u32, place: u32) -> bool {
    let how = control[lane];
    if how.phase != READY || reached[params.base + lane * params.span + place] != params.begins { return false; }
    if params.step == REST { return place < how.rows; }
    let open = how.source == params.source && how.guesses == params.step && how.shallow == params.step + 1u;
    return open && (place == params.step || (params.earlier == 1u && place < params.step));
}

@compute @workgroup_size(THREADS)
fn linger(@builtin(local_invocation_index) thread: u32) {
    let share = (params.lanes + THREADS - 1u) / THREADS;
    let begin = min(thread * share, params.lanes);
    let end = min(begin + share, params.lanes);
    var count = 0u;
    for (var lane = begin; lane < end; lane++) {
        for (var i = 0u; i < params.span; i++) { count += u32(listed(lane, i)); }
    }
    var place = sum_before(thread, count);
    for (var lane = begin; lane < end; lane++) {
        for (var i = 0u; i < params.span; i++) {
            if !listed(lane, i) { continue; }
            let row = params.base + lane * params.span + i;
            reached[row] = params.reaches;
            list[1u + place] = row;
            place++;
        }
    }
    if thread == THREADS - 1u { list[0] = place; }
}
