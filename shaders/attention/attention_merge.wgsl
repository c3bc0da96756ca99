// Joins the stretches of `attention` into the heads' outputs.
//
//     output = sum_s exp(max_s - max) * partial_s / sum_s exp(max_s - max) * sum_s
//
// Grid: (rows of the list in turns, heads). CPU twin: `cpu` in `src/kernels/attention/attention_merge.rs`.

struct Params {
    heads: u32,
    head_dim: u32,
    stride: u32,         // numbers per output row
    compact: u32,        // 1: entries are counted by KV index; 0: by position
    max_stretches: u32,
    window: u32,         // entries that a row sees at most
}

const STRETCH = 256u;
const LOWEST = -1e30;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4<f32>>;   // [rows, heads, max_stretches, HEAD4 + 1]
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;      // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read> list: array<u32>;            // count, rows
@group(0) @binding(4) var<storage, read_write> output: array<f32>;    // [rows, stride]

@compute @workgroup_size(32)
fn attention_merge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { merge(list[1u + place], place, group.y, thread); }
}

fn merge(row: u32, place: u32, head: u32, thread: u32) {
    let entries = select(rows[row].y, rows[row].w, params.compact == 1u) + 1u;
    let stretches = (entries + STRETCH - 1u) / STRETCH;
    let first = (entries - min(entries, params.window)) / STRETCH;
    let start = (row * params.heads + head) * params.max_stretches * (HEAD4 + 1u);
    var highest = LOWEST;
    for (var s = first; s < stretches; s++) {
        highest = max(highest, partial[start + s * (HEAD4 + 1u) + HEAD4].x);
    }
    for (var d = thread; d < HEAD4; d += 32u) {
        var sum = vec4<f32>(0.0);
        var weight = 0.0;
        for (var s = first; s < stretches; s++) {
            let at = start + s * (HEAD4 + 1u);
            let below = partial[at + HEAD4].x - highest;
            // The highest stretch counts in full, whatever a driver makes of exp(0): alone it is only divided by its weight.
            let factor = select(exp(below), 1.0, below == 0.0);
            sum = fma(vec4<f32>(factor), partial[at + d], sum);
            weight = fma(factor, partial[at + HEAD4].y, weight);
        }
        let result = sum / weight;
        // Only where heads are whole vectors.
        share((place * params.stride + head * params.head_dim) / 4u + d, result);
        for (var k = 0u; k < 4u; k++) {
            if d * 4u + k < params.head_dim {
                output[row * params.stride + head * params.head_dim + d * 4u + k] = result[k];
            }
        }
    }
}
