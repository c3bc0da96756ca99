// First half of a low-rank adapter: the row's round picks the matrix (Relaxed Recursive Transformers, section 2.3).
//
//     inner = A[round] . input
//
// Grid: (rows of the list, rank). CPU twin: `cpu` in `src/kernels/products/lora_down.rs`.

struct Params {
    stride: u32,       // vectors per input row and per row of A
    rank: u32,
    bank_stride: u32,  // vectors from one round's A to the next
    inner_stride: u32, // numbers per row of the result
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;    // [rows, stride]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;   // [rounds, rank, stride]
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;     // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read> list: array<u32>;           // count, rows
@group(0) @binding(5) var<storage, read_write> inner: array<f32>;    // [rows, inner_stride]

@compute @workgroup_size(WG)
fn lora_down(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if group.x >= list[0] { return; }
    let row = list[1u + group.x];
    let bank = rows[row].z * params.bank_stride + group.y * params.stride;
    var sum = vec4<f32>(0.0);
    for (var i = thread; i < params.stride; i += WG) {
        sum = fma(weight[bank + i], input[row * params.stride + i], sum);
    }
    let total = workgroup_sum(thread, (sum.x + sum.y) + (sum.z + sum.w));
    if thread == 0u { inner[row * params.inner_stride + group.y] = total; }
}
