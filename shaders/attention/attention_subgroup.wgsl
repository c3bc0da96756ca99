// Attention of one row of the list over one stretch of the context, for the GROUP query heads of a KV head: a subgroup of
// WG threads, each of which owns a slice of every head.
//
// For adapters where workgroup memory and barriers cost most, and loads next: keys and values are read once for
// all heads of the group. Results and stretches are those of `attention`, but sums go by running maximum, entry by entry.
// Where results go, lib/attended_stretch.wgsl and lib/attended_whole.wgsl say.
// Grid: (rows of the list, KV heads of the binding, stretches). CPU twin: `cpu` in `src/kernels/attention/attention_stretch.rs`.

struct Params {
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    stride: u32,         // numbers per row of q | k | v
    class_base: u32,     // cache class of round 0
    class_step: u32,     // classes from one round to the next
    compact: u32,        // 1: entries are counted by KV index; 0: by position
    overlay: u32,        // 1: entries that did not run this round are taken from round 0 (hybrid)
    classes: u32,
    max_pages: u32,
    max_stretches: u32,
    context: u32,        // positions per lane in `reach`
    window: u32,         // entries that a row sees at most, its own included
    scale: f32,
    output_stride: u32,  // vectors per row of attention's output
    reached: u32,        // rounds that a token has run whose entry the layer has
    first_head: u32,     // first query head whose keys the binding holds
    cache_heads: u32,    // KV heads that it holds
}

// What a head found in a stretch, beside the sum of its values.
struct Found {
    row: u32,
    place: u32,   // of the row in the list
    head: u32,
    stretch: u32,
    highest: f32, // score
    weight: f32,  // sum of exp(score - highest)
}

const SLICE = (HEAD4 + WG - 1u) / WG; // vectors of a head per thread
const LOWEST = -1e30;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;             // [rows, stride]
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;      // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read> list: array<u32>;            // count, rows
@group(0) @binding(5) var<storage, read> cache: array<vec4<f32>>;     // see lib/kv.wgsl
@group(0) @binding(6) var<storage, read> reach: array<u32>;           // [lanes, context]: rounds run by a position

@compute @workgroup_size(WG)
fn attention_subgroup(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if group.x >= list[0] { return; }
    let row = list[1u + group.x];
    let begin = max(group.z * STRETCH, first_of(row));
    let end = min(entries_of(row), (group.z + 1u) * STRETCH);
    if begin >= end { return; }
    let info = rows[row];
    let first_head = params.first_head + group.y * GROUP;
    var query: array<vec4<f32>, GROUP * SLICE>;
    for (var i = 0u; i < GROUP * SLICE; i++) {
        let start = row * params.stride + (first_head + i / SLICE) * params.head_dim;
        for (var k = 0u; k < 4u; k++) {
            let d = ((i % SLICE) * WG + thread) * 4u + k;
            if d < params.head_dim { query[i][k] = qkv[start + d]; }
        }
    }
    var highest: array<f32, GROUP>;
    var weight: array<f32, GROUP>;
    var sums: array<vec4<f32>, GROUP * SLICE>;
    for (var g = 0u; g < GROUP; g++) { highest[g] = LOWEST; }

    for (var entry = begin; entry < end; entry++) {
        if !holds(info, entry) { continue; }
        let at = address_of(info, entry, group.y) + thread;
        var key: array<vec4<f32>, SLICE>;
        var value: array<vec4<f32>, SLICE>;
        for (var s = 0u; s < SLICE; s++) {
            if s * WG + thread < HEAD4 {
                key[s] = cache[at + s * WG];
                value[s] = cache[at + PAGE * HEAD4 + s * WG];
            }
        }
        for (var g = 0u; g < GROUP; g++) {
            var dot = vec4<f32>(0.0);
            for (var s = 0u; s < SLICE; s++) { dot = fma(query[g * SLICE + s], key[s], dot); }
            let score = workgroup_sum(thread, (dot.x + dot.y) + (dot.z + dot.w)) * params.scale;
            let top = max(highest[g], score);
            let factor = exp(highest[g] - top);
            let share = exp(score - top);
            highest[g] = top;
            weight[g] = fma(weight[g], factor, share);
            for (var s = 0u; s < SLICE; s++) {
                let i = g * SLICE + s;
                sums[i] = fma(vec4<f32>(share), value[s], sums[i] * factor);
            }
        }
    }

    for (var g = 0u; g < GROUP; g++) {
        let found = Found(row, group.x, first_head + g, group.z, highest[g], weight[g]);
        for (var s = 0u; s < SLICE; s++) {
            if s * WG + thread < HEAD4 { store_found(found, s * WG + thread, sums[g * SLICE + s]); }
        }
    }
}
