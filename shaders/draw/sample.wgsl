// Draws the next token of a row from its logits.
//
//     repeat penalty, temperature, top-k, top-p, min-p, then the largest logit + Gumbel noise
//
// Noise is a hash of seed, position and token, so a text depends on nothing but its seed. Cut-offs are found by
// bisection over the ordered bit patterns of f32. Grid: places of the list in turns.
// CPU twin: `cpu` in `src/kernels/draw/sample.rs`.

struct Params {
    vocabulary: u32,
    stride: u32,      // numbers per row of logits
    seen_stride: u32, // words of a lane's set of seen tokens
    context: u32,     // positions of a lane in `history`
    base: u32,        // first row of lane 0
    span: u32,        // rows of a lane: its next token, and guesses behind it
}

struct Settings {
    inverse_temperature: f32, // 0: greedy
    top_k: u32,               // 0: all
    top_p: f32,
    min_p: f32,
    penalty: f32,
    seed_low: u32,
    seed_high: u32,
    spare: u32,
}

const LOWEST = -1e30;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> settings: array<Settings>;       // [lanes]
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;          // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read> list: array<u32>;                // count, rows
@group(0) @binding(4) var<storage, read> seen: array<u32>;                // [lanes, seen_stride]
@group(0) @binding(5) var<storage, read> logits: array<f32>;              // [places, stride]
@group(0) @binding(6) var<storage, read_write> history: array<u32>;       // [lanes, context]: token at each position
@group(0) @binding(7) var<storage, read_write> drawn: array<u32>;         // [places, DRAWN]: token, bits of its log-probability
@group(0) @binding(8) var<storage, read> tokens: array<u32>;              // [rows]: a guess's token

// What the row draws from; set by `draw`.
var<private> how: Settings;
var<private> factor: f32;
var<private> start: u32;     // of the row's logits
var<private> seen_from: u32; // of the lane's set
var<private> own_row: u32;
var<private> guesses: u32;   // up to and with the row, which it has seen though they are not marked

// Logit behind penalty and temperature.
fn adjusted(token: u32) -> f32 {
    var x = logits[start + token];
    if how.penalty != 1.0 && is_seen(token) { x = select(x * how.penalty, x / how.penalty, x > 0.0); }
    return x * factor;
}

// What a token weighs, if it is not below the cut.
fn share_of(token: u32, top: f32, cut: u32, by_mass: bool) -> f32 {
    let x = adjusted(token);
    return select(0.0, select(1.0, exp(max(x - top, -80.0)), by_mass), ordered(x) >= cut);
}

// The largest cut whose tokens weigh at least `wanted`: each counts 1 (`by_mass` 0) or exp(logit - top).
fn cut_for(thread: u32, top: f32, floor: u32, by_mass: bool, wanted: f32) -> u32 {
    var cut = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
        let trial = cut | (0x80000000u >> bit);
        var sum = 0.0;
        // Two at a time: some drivers count the passes.
        for (var i = thread; i < params.vocabulary; i += 2u * THREADS) {
            sum += share_of(i, top, max(trial, floor), by_mass);
            if i + THREADS < params.vocabulary { sum += share_of(i + THREADS, top, max(trial, floor), by_mass); }
        }
        if total(thread, sum) >= wanted { cut = trial; }
    }
    return max(cut, floor);
}

@compute @workgroup_size(THREADS)
fn sample(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { draw(place, thread); }
}

fn draw(place: u32, thread: u32) {
    own_row = list[1u + place];
    let info = rows[list[1u + place]];
    // Barriers stand behind branches on `own`: private variables would not count as uniform there.
    let own = settings[info.x];
    how = own;
    factor = select(own.inverse_temperature, 1.0, own.inverse_temperature == 0.0);
    start = place * params.stride;
    seen_from = info.x * params.seen_stride;
    guesses = select(0u, (own_row - params.base) % params.span, own_row >= params.base);

    let own_top = own_best(thread, start);
    var token = argmax(thread, own_top.logit, own_top.token);
    let raw_top = best_value;
    var mass = 0.0;
    for (var i = thread; i < params.vocabulary; i += THREADS) { mass += exp(max(logits[start + i] - raw_top, -80.0)); }
    let log_mass = raw_top + log(total(thread, mass));

    var top = raw_top * factor;
    if own.penalty != 1.0 {
        var best = Candidate(0xffffffffu, LOWEST);
        for (var i = thread; i < params.vocabulary; i += THREADS) {
            let x = adjusted(i);
            if x > best.logit { best = Candidate(i, x); }
        }
        token = argmax(thread, best.logit, best.token);
        top = best_value;
    }
    if own.inverse_temperature != 0.0 {
        var cut = 0u;
        if own.top_k > 0u && own.top_k < params.vocabulary {
            cut = cut_for(thread, top, 0u, false, f32(own.top_k));
        }
        if own.top_p < 1.0 {
            var kept = 0.0;
            for (var i = thread; i < params.vocabulary; i += THREADS) {
                let x = adjusted(i);
                if ordered(x) >= cut { kept += exp(max(x - top, -80.0)); }
            }
            cut = cut_for(thread, top, cut, true, own.top_p * total(thread, kept));
        }
        if own.min_p > 0.0 { cut = max(cut, ordered(top + log(own.min_p))); }
        let key = mix(mix(mix(0u, how.seed_low), how.seed_high), info.y);
        var best = Candidate(0xffffffffu, LOWEST);
        for (var i = thread; i < params.vocabulary; i += THREADS) {
            let x = adjusted(i);
            if ordered(x) < cut { continue; }
            let noisy = x + gumbel(key, i);
            if noisy > best.logit { best = Candidate(i, noisy); }
        }
        token = argmax(thread, best.logit, best.token);
    }
    if thread == 0u {
        // Where no logit is a number nobody is the best; the token must be one all the same.
        token = min(token, params.vocabulary - 1u);
        if info.y + 1u < params.context { history[info.x * params.context + info.y + 1u] = token; }
        drawn[place * DRAWN] = token;
        drawn[place * DRAWN + 1u] = bitcast<u32>(logits[start + token] - log_mass);
    }
}
