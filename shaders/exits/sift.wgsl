// Lists those rows of a list that were granted so many rounds, in its order. Rows whose depth is forced are not among them.
//
//     sifted = rows of the list with least <= rounds granted < end
//
// A count, a scan over the workgroup's counts, a second walk. Grid: one workgroup. CPU twin: `cpu` in `src/kernels/exits/sift.rs`.

struct Params {
    least: u32,
    end: u32,
}

const THREADS = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> granted: array<Granted>;  // [rows]
@group(0) @binding(2) var<storage, read> list: array<u32>;         // count, rows
@group(0) @binding(3) var<storage, read_write> sifted: array<u32>; // count, rows

fn passes(row: u32) -> bool {
    let run = granted[row];
    return run.forced == 0u && run.rounds >= params.least && run.rounds < params.end;
}

@compute @workgroup_size(THREADS)
fn sift(@builtin(local_invocation_index) thread: u32) {
    let rows = list[0];
    let share = (rows + THREADS - 1u) / THREADS;
    let begin = min(thread * share, rows);
    let end = min(begin + share, rows);
    var count = 0u;
    for (var place = begin; place < end; place++) { count += u32(passes(list[1u + place])); }
    var to = sum_before(thread, count);
    for (var place = begin; place < end; place++) {
        let row = list[1u + place];
        if passes(row) {
            sifted[1u + to] = row;
            to++;
        }
    }
    if thread == THREADS - 1u { sifted[0] = to; }
}
