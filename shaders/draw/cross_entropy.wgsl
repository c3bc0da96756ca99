// What a row's logits say of the token that really came: its log-probability, the best token, the entropy.
//
//     log p(i) = logits[i] - log sum_j exp(logits[j])      entropy = log sum - sum_i p(i) logits[i], in nats
//
// Sums run over the workgroup in a fixed tree. Grid: one workgroup per place.
// CPU twin: `cpu` in `src/kernels/draw/cross_entropy.rs`.

struct Params {
    vocabulary: u32,
    stride: u32, // numbers per row of logits
}

const LOWEST = -1e30;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> targets: array<u32>;               // [places]
@group(0) @binding(2) var<storage, read> logits: array<f32>;                // [places, stride]
@group(0) @binding(3) var<storage, read_write> judged: array<vec4<u32>>;    // [places]: best token, then bits of log p of
                                                                            // target and best, and of the entropy

@compute @workgroup_size(THREADS)
fn cross_entropy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let start = group.x * params.stride;
    let own = own_best(thread, start);
    let best = argmax(thread, own.logit, own.token);
    let top = best_value;
    var part = 0.0;
    var weighted = 0.0;
    for (var i = thread; i < params.vocabulary; i += THREADS) {
        let x = max(logits[start + i] - top, -80.0);
        let weight = exp(x);
        part += weight;
        weighted = fma(weight, x, weighted);
    }
    let mass = total(thread, part);
    let mean = total(thread, weighted) / mass;
    if thread == 0u {
        let log_mass = log(mass);
        let wanted = logits[start + targets[group.x]] - top - log_mass;
        judged[group.x] =
            vec4<u32>(best, bitcast<u32>(wanted), bitcast<u32>(-log_mass), bitcast<u32>(max(log_mass - mean, 0.0)));
    }
}
