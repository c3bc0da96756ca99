// Puts the entropy of a row's probabilities, negative, in place of the log-probability of what was drawn for it.
//
//     -H = sum_j p_j log p_j = (sum_j exp(l_j - top) (l_j - top)) / mass - log mass          mass = sum_j exp(l_j - top)
//
// Sums run over the workgroup in a fixed tree. Grid: one workgroup per place of the list. CPU twin: `cpu` in
// `src/kernels/drafts/entropy.rs`.

struct Params {
    vocabulary: u32,
    stride: u32, // numbers per row of logits
}

const LOWEST = -1e30;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> list: array<u32>;        // count, rows
@group(0) @binding(2) var<storage, read> logits: array<f32>;      // [places, stride]
@group(0) @binding(3) var<storage, read_write> drawn: array<u32>; // [places, DRAWN]: token, bits of a number

@compute @workgroup_size(THREADS)
fn entropy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let place = group.x;
    if place >= list[0] { return; }
    let start = place * params.stride;
    let own = own_best(thread, start);
    _ = argmax(thread, own.logit, own.token);
    let top = best_value;
    var part = 0.0;
    var weighed = 0.0;
    for (var i = thread; i < params.vocabulary; i += THREADS) {
        let x = max(logits[start + i] - top, -80.0);
        let e = exp(x);
        part += e;
        weighed = fma(e, x, weighed);
    }
    let mass = total(thread, part);
    let sum = total(thread, weighed);
    if thread == 0u { drawn[place * DRAWN + 1u] = bitcast<u32>(sum / mass - log(mass)); }
}
