// Attention of QROWS rows of the list over one stretch of the context, for GROUP query heads that share a KV head.
//
//     score = query . key / sqrt(head_dim)         entries up to the row's own, as far back as the window
//     partial = sum exp(score - max) * value,  with max and sum of exp(score - max)
//
// A stretch has STRETCH entries wherever the row stands, so that a row's sums never depend on its company. `attention_merge`
// joins the stretches. Grid: (tiles of QROWS rows, query heads / GROUP, stretches). CPU twin: `cpu` in `src/kernels/attention/attention_stretch.rs`.

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
    first_head: u32, cache_heads: u32, // first query head whose keys the binding holds, and its KV heads
}

const TILE = 64u;
const PAIRS = QROWS * GROUP;                    // (row, head) pairs of this workgroup
const OUTS = (PAIRS * HEAD4 + TILE - 1u) / TILE; // output vectors per thread
const LOWEST = -1e30;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;             // [rows, stride]
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;      // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read> list: array<u32>;            // count, rows
@group(0) @binding(5) var<storage, read> cache: array<vec4<f32>>;     // see lib/kv.wgsl
@group(0) @binding(6) var<storage, read> reach: array<u32>;           // [lanes, context]: rounds run by a position
@group(0) @binding(7) var<storage, read_write> partial: array<vec4<f32>>; // [rows, heads, max_stretches, HEAD4 + 1]

var<workgroup> query: array<vec4<f32>, PAIRS * HEAD4>;
var<workgroup> score: array<f32, PAIRS * TILE>;
var<workgroup> address: array<u32, QROWS * TILE>;
var<workgroup> highest: array<f32, PAIRS>;
var<workgroup> factor: array<f32, PAIRS>;

@compute @workgroup_size(TILE)
fn attention_stretch(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let count = list[0];
    let first = group.x * QROWS;
    if first >= count { return; }
    let begin = group.z * STRETCH;
    let kv_head = group.y * GROUP * params.kv_heads / params.heads; // within the binding
    let span = span_of(first, count);
    if begin >= span.y || begin + STRETCH <= span.x { return; }
    for (var i = thread; i < PAIRS * HEAD4; i += TILE) {
        let pair = i / HEAD4;
        let row = list[1u + min(first + pair / GROUP, count - 1u)];
        let head = params.first_head + group.y * GROUP + pair % GROUP;
        var v = vec4<f32>(0.0);
        for (var k = 0u; k < 4u; k++) {
            let d = (i % HEAD4) * 4u + k;
            if d < params.head_dim { v[k] = qkv[row * params.stride + head * params.head_dim + d]; }
        }
        query[i] = v;
    }
    if thread < PAIRS { highest[thread] = LOWEST; }
    var sums: array<vec4<f32>, OUTS>;
    var weight_sum = 0.0;
    workgroupBarrier();

    for (var tile = max(begin, span.x / TILE * TILE); tile < min(span.y, begin + STRETCH); tile += TILE) {
        // Scores: a thread per entry, its key read once for all rows that share it.
        let entry = tile + thread;
        var at = 0xffffffffu;
        var key: array<vec4<f32>, HEAD4>;
        for (var q = 0u; q < QROWS; q++) {
            let row = list[1u + min(first + q, count - 1u)];
            let seen = entry < entries_of(row) && entry >= first_of(row);
            let open = seen && holds(rows[row], entry);
            if seen {
                // In place of an entry that is not there, the row's own counts for nothing.
                let wanted = address_of(rows[row], select(entries_of(row) - 1u, entry, open), kv_head);
                address[q * TILE + thread] = wanted;
                if wanted != at {
                    at = wanted;
                    for (var d = 0u; d < HEAD4; d++) { key[d] = cache[at + d]; }
                }
            }
            for (var g = 0u; g < GROUP; g++) {
                let pair = q * GROUP + g;
                var sum = vec4<f32>(0.0);
                if open {
                    for (var d = 0u; d < HEAD4; d++) { sum = fma(query[pair * HEAD4 + d], key[d], sum); }
                }
                let dot = ((sum.x + sum.y) + (sum.z + sum.w)) * params.scale;
                score[pair * TILE + thread] = select(LOWEST, dot, open);
            }
        }
        workgroupBarrier();
        if thread < PAIRS {
            let before = highest[thread];
            var top = before;
            for (var e = 0u; e < TILE; e++) { top = max(top, score[thread * TILE + e]); }
            highest[thread] = top;
            factor[thread] = exp(before - top);
        }
        workgroupBarrier();
        for (var pair = 0u; pair < PAIRS; pair++) {
            let s = score[pair * TILE + thread];
            score[pair * TILE + thread] = select(0.0, exp(s - highest[pair]), s > LOWEST);
        }
        workgroupBarrier();
        if thread < PAIRS {
            var sum = 0.0;
            for (var e = 0u; e < TILE; e++) { sum += score[thread * TILE + e]; }
            weight_sum = fma(weight_sum, factor[thread], sum);
        }
        for (var o = 0u; o < OUTS; o++) {
            let i = thread + o * TILE;
            if i >= PAIRS * HEAD4 { break; }
            let pair = i / HEAD4;
            let q = pair / GROUP;
            let row = list[1u + min(first + q, count - 1u)];
            var sum = sums[o] * factor[pair];
            let end = min(entries_of(row), tile + TILE);
            for (var entry = max(tile, first_of(row)); entry < end; entry++) {
                let e = entry - tile;
                let value = cache[address[q * TILE + e] + PAGE * HEAD4 + i % HEAD4];
                sum = fma(vec4<f32>(score[pair * TILE + e]), value, sum);
            }
            sums[o] = sum;
        }
        workgroupBarrier();
    }

    for (var o = 0u; o <= OUTS; o++) {
        // The last turn writes max and sum of each pair behind its output.
        let i = select(thread + o * TILE, thread * HEAD4, o == OUTS);
        let pair = i / HEAD4;
        if pair >= PAIRS || first + pair / GROUP >= count { continue; }
        let row = list[1u + first + pair / GROUP];
        if begin >= entries_of(row) { continue; }
        let head = params.first_head + group.y * GROUP + pair % GROUP;
        let to = ((row * params.heads + head) * params.max_stretches + group.z) * (HEAD4 + 1u);
        if o == OUTS {
            partial[to + HEAD4] = vec4<f32>(highest[thread], weight_sum, 0.0, 0.0);
        } else {
            partial[to + i % HEAD4] = sums[min(o, OUTS - 1u)];
        }
    }
}
