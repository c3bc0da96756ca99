// Rotates queries and keys by their position and files keys and values in the cache.
//
//     (a, b) -> (a cos - b sin, b cos + a sin)     for the pairs (i, i + half) of each head
//
// Where a layer's cache lies in several bindings each has a dispatch; the first rotates the queries. Grid: rows of the list in turns, and workgroups that share a row. CPU twin: `cpu` in `src/kernels/attention/rope.rs`.

struct Params {
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    stride: u32,       // numbers per row of q | k | v
    write_keys: u32,   // 0: rows have queries only; 1: keys and values are filed; 2: those of rows at round 0
    class_base: u32,   // cache class of round 0
    class_step: u32,   // classes from one round to the next
    compact: u32,      // 1: an entry per token that ran this round; 0: an entry per position
    classes: u32,
    max_pages: u32,
    first_kv_head: u32, // first KV head that the binding holds
    cache_heads: u32,  // KV heads that it holds
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> rotation: array<vec2<f32>>;  // [positions, head_dim / 2]: cos, sin
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;      // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read> list: array<u32>;            // count, rows
@group(0) @binding(5) var<storage, read_write> qkv: array<f32>;       // [rows, stride]
@group(0) @binding(6) var<storage, read_write> cache: array<f32>;     // see lib/kv.wgsl

@compute @workgroup_size(64)
fn rope(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { rotate(list[1u + place], thread + 64u * group.y, 64u * grid.y); }
}

fn rotate(row: u32, thread: u32, threads: u32) {
    let info = rows[row];
    let start = row * params.stride;
    let half = params.head_dim / 2u;
    let entry = select(info.y, info.w, params.compact == 1u);
    let key = 4u * key_address(info.x, params.class_base + info.z * params.class_step, entry);
    let head_words = PAGE * HEAD4 * 4u;
    let writes = params.write_keys == 1u || (params.write_keys == 2u && info.z == 0u);
    let queries = select(0u, params.heads, params.first_kv_head == 0u);
    let first = params.heads + params.first_kv_head;
    let rotated = queries + select(0u, params.cache_heads, writes);
    for (var i = thread; i < rotated * half; i += threads) {
        let place = i / half;
        let head = select(first + place - queries, place, place < queries);
        let pair = i % half;
        let at = start + head * params.head_dim + pair;
        let turn = rotation[info.y * half + pair];
        let a = qkv[at];
        let b = qkv[at + half];
        let low = a * turn.x - b * turn.y;
        let high = b * turn.x + a * turn.y;
        if place < queries {
            qkv[at] = low;
            qkv[at + half] = high;
        } else {
            let to = key + (place - queries) * 2u * head_words + pair;
            cache[to] = low;
            cache[to + half] = high;
        }
    }
    if !writes { return; }
    let values = start + (first + params.kv_heads) * params.head_dim;
    for (var i = thread; i < params.cache_heads * params.head_dim; i += threads) {
        let head = i / params.head_dim;
        cache[key + (head * 2u + 1u) * head_words + i % params.head_dim] = qkv[values + i];
    }
}
