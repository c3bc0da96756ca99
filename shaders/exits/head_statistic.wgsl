// A statistic of the tokens' probabilities, before a row's next round; and whether the round is run.
//
//     score = the gap of the two best, the largest, or the entropy: lib/statistic_gap.wgsl and its kin
//
// A row that has run no round has no logits yet: its score is 0, and its first round is free. Sums run over the workgroup in
// a fixed tree. Grid: one workgroup per place of the list. CPU twin: `cpu` in `src/kernels/exits/head_statistic.rs`.

struct Params {
    vocabulary: u32,
    stride: u32, // numbers per row of logits
    rounds: u32, // scores kept per row
    forced: u32, // number of rounds to run whatever the score; NOT_FORCED leaves it to the score
}

const LOWEST = -1e30;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;          // [places, stride]
@group(0) @binding(2) var<storage, read> bias: array<f32>;            // [rounds]: minus the thresholds
@group(0) @binding(3) var<storage, read> list: array<u32>;            // count, rows
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;    // [rows, rounds]
@group(0) @binding(5) var<storage, read_write> granted: array<Granted>; // [rows]

@compute @workgroup_size(THREADS)
fn head_statistic(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if group.x >= list[0] { return; }
    let row = list[1u + group.x];
    let run = granted_to(row, thread);
    let round = run.rounds;
    if round >= params.rounds { return; }
    var score = 0.0;
    if round > 0u { score = statistic(thread, group.x * params.stride); }
    if thread == 0u {
        scores[row * params.rounds + round] = score;
        decide(row, run, score, round == 0u);
    }
}
