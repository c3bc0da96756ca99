// Root-mean-square normalisation of each head of queries and keys, in place.
//
//     head = weight * head / sqrt(mean(head^2) + epsilon)       one weight for queries, one for keys
//
// Weights of several rounds stand one behind the other. Grid: (rows of the list, heads).
// CPU twin: `cpu` in `src/kernels/attention/head_norm.rs`.

struct Params {
    heads: u32,         // query heads; those of the keys follow
    head_dim: u32,
    stride: u32,        // numbers per row of q | k | v
    weight_stride: u32, // numbers from the queries' weight to the keys'
    bank_stride: u32,   // numbers from one round's weights to the next, 0 where all rounds share them
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;       // [rounds, 2, weight_stride]
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;   // [rows]: lane, position, round, KV index
@group(0) @binding(3) var<storage, read> list: array<u32>;         // count, rows
@group(0) @binding(4) var<storage, read_write> qkv: array<f32>;    // [rows, stride]

@compute @workgroup_size(WG)
fn head_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if group.x >= list[0] { return; }
    let row = list[1u + group.x];
    let start = row * params.stride + group.y * params.head_dim;
    var squares = 0.0;
    for (var i = thread; i < params.head_dim; i += WG) {
        let x = qkv[start + i];
        squares = fma(x, x, squares);
    }
    let factor = inverseSqrt(workgroup_sum(thread, squares) / f32(params.head_dim) + params.epsilon);
    let bank = rows[row].z * params.bank_stride + select(0u, params.weight_stride, group.y >= params.heads);
    for (var i = thread; i < params.head_dim; i += WG) {
        qkv[start + i] = weight[bank + i] * (qkv[start + i] * factor);
    }
}
