// How little a round has turned the stream of a row, before its next round; and whether that one is run.
//
//     score = cos(stream, stream at the measure before)       previous = stream
//
// A row that has run no round has nothing to compare with: its score is 0, and its first round is free. So is that of a
// stream of zeros. Grid: rows of the list in turns. CPU twin: `cpu` in `src/kernels/exits/cosine.rs`.

struct Params {
    width: u32,  // vectors per row
    rounds: u32, // scores kept per row
    forced: u32, // number of rounds to run whatever the score; NOT_FORCED leaves it to the score
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> stream: array<vec4<f32>>;         // [rows, width]
@group(0) @binding(2) var<storage, read> bias: array<f32>;                 // [rounds]: minus the thresholds
@group(0) @binding(3) var<storage, read> list: array<u32>;                 // count, rows
@group(0) @binding(4) var<storage, read_write> previous: array<vec4<f32>>; // [rows, width]
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;         // [rows, rounds]
@group(0) @binding(6) var<storage, read_write> granted: array<Granted>; // [rows]

@compute @workgroup_size(WG)
fn cosine(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { compare(list[1u + place], thread); }
}

fn sum_of(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn compare(row: u32, thread: u32) {
    let run = granted_to(row, thread);
    let round = run.rounds;
    if round >= params.rounds { return; }
    let start = row * params.width;
    var both = vec4<f32>(0.0);
    var before = vec4<f32>(0.0);
    var after = vec4<f32>(0.0);
    for (var i = thread; i < params.width; i += WG) {
        let a = previous[start + i];
        let b = stream[start + i];
        both = fma(a, b, both);
        before = fma(a, a, before);
        after = fma(b, b, after);
        previous[start + i] = b;
    }
    let dot = workgroup_sum(thread, sum_of(both));
    let square_before = workgroup_sum(thread, sum_of(before));
    let square_after = workgroup_sum(thread, sum_of(after));
    if thread == 0u {
        var score = 0.0;
        if round > 0u && square_before > 0.0 && square_after > 0.0 {
            score = dot * inverseSqrt(square_before) * inverseSqrt(square_after);
        }
        scores[row * params.rounds + round] = score;
        decide(row, run, score, round == 0u);
    }
}
