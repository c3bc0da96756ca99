// Puts the entropy of a row's probabilities, negative, in place of the log-probability of what was drawn for it.
// The measure is lib/statistic_entropy.wgsl. Grid: one workgroup per place of the list. CPU twin: `cpu` in
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
    let entropy = statistic(thread, place * params.stride);
    if thread == 0u { drawn[place * DRAWN + 1u] = bitcast<u32>(-entropy); }
}
