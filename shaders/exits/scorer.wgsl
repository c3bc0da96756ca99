// A scorer: scores a row before its next round and decides whether the round is run.
//
//     score = weight . act(input / temperature)       act: identity, or exact GELU behind the first layer of an MLP
//     each round:    factor = f(score); the round is granted iff goes_on(score, score before, -bias[round], round)
//     once for all:  p = f(scores); rounds granted = 1 + argmax(p + bias); factor = p there
//
// A row's next round is the number of rounds already granted to it. What a row was forced to stands before all scores.
// Grid: rows of the list in turns.
// CPU twin: `cpu` in `src/kernels/exits/scorer.rs`.

struct Params {
    width: u32,         // vectors per input row
    input_stride: u32,  // vectors from one input row to the next
    outputs: u32,       // scores per row: 1 (expert), number of rounds (token)
    rounds: u32,        // scores kept per row
    bank_stride: u32,   // vectors from one round's weight to the next
    gelu: u32,
    function: u32,      // 0 identity, 1 sigmoid, 2 tanh, 3 softmax
    at_once: u32,
    write_scores: u32,  // scores are kept; always where the depth is chosen at once
    write_factor: u32,  // the factor is kept; always where the depth is chosen at once
    decide: u32,        // rounds are granted
    first_free: u32,    // 1: round 0 is granted whatever the score
    forced: u32,        // number of rounds to run whatever the score; NOT_FORCED leaves it to the score
    inverse_temperature: f32,
    alpha: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;     // [rows, input_stride]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;    // [rounds or 1, outputs, width]
@group(0) @binding(3) var<storage, read> bias: array<f32>;            // [rounds]
@group(0) @binding(4) var<storage, read> list: array<u32>;            // count, rows
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;    // [rows, rounds]
@group(0) @binding(6) var<storage, read_write> factors: array<f32>;     // [rows]
@group(0) @binding(7) var<storage, read_write> granted: array<Granted>; // [rows]

fn activate(x: f32) -> f32 {
    let scaled = x * params.inverse_temperature;
    if params.gelu == 0u { return scaled; }
    return 0.5 * scaled * (1.0 + error_function(scaled * 0.70710678));
}

fn factor_of(score: f32) -> f32 {
    switch params.function {
        case 1u: { return params.alpha / (1.0 + exp(-clamp(score, -80.0, 80.0))); }
        case 2u: { return params.alpha * tanh(clamp(score, -20.0, 20.0)); }
        default: { return score; }
    }
}

// One thread: the depth is chosen at once from all scores of the row.
fn choose_depth(row: u32, forced: u32) {
    let start = row * params.rounds;
    var top = scores[start];
    for (var j = 1u; j < params.outputs; j++) { top = max(top, scores[start + j]); }
    var sum = 0.0;
    for (var j = 0u; j < params.outputs; j++) { sum += exp(scores[start + j] - top); }
    var best = 0u;
    var best_value = 0.0;
    var best_factor = 0.0;
    for (var j = 0u; j < params.outputs; j++) {
        var p = factor_of(scores[start + j]);
        if params.function == 3u { p = params.alpha * (exp(scores[start + j] - top) / sum); }
        let value = p + bias[j];
        let forced_here = forced == j + 1u;
        if j == 0u || forced_here || (forced == NOT_FORCED && value > best_value) {
            best = j;
            best_value = value;
            best_factor = p;
        }
    }
    factors[row] = best_factor;
    granted[row].rounds = select(forced, best + 1u, forced == NOT_FORCED);
}

@compute @workgroup_size(WG)
fn scorer(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { route(list[1u + place], thread); }
}

fn route(row: u32, thread: u32) {
    let before = granted_to(row, thread);
    let round = before.rounds;
    if round >= params.rounds { return; }
    let start = row * params.input_stride;
    for (var j = 0u; j < params.outputs; j++) {
        let bank = round * params.bank_stride + j * params.width;
        var sum = vec4<f32>(0.0);
        for (var i = thread; i < params.width; i += WG) {
            let x = input[start + i];
            sum = fma(vec4<f32>(activate(x.x), activate(x.y), activate(x.z), activate(x.w)), weight[bank + i], sum);
        }
        let score = workgroup_sum(thread, (sum.x + sum.y) + (sum.z + sum.w));
        if thread == 0u {
            if params.at_once == 1u {
                scores[row * params.rounds + j] = score;
            } else {
                if params.write_scores == 1u { scores[row * params.rounds + round] = score; }
                if params.write_factor == 1u { factors[row] = factor_of(score); }
            }
            if params.decide == 1u && params.at_once == 0u {
                decide(row, before, score, params.first_free == 1u && round == 0u);
            }
        }
    }
    if thread == 0u && params.at_once == 1u { choose_depth(row, forced_rounds(before)); }
}
