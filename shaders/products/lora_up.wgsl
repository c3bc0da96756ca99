// Second half of a low-rank adapter: adds its output to that of the shared matrix.
//
//     output += scale * B[round] . inner
//
// Grid: (rows of the list, outputs / 64). CPU twin: `cpu` in `src/kernels/products/lora_up.rs`.

struct Params {
    outputs: u32,
    rank: u32,
    bank_stride: u32,   // numbers from one round's B to the next
    inner_stride: u32,  // numbers per row of `inner`
    output_stride: u32, // numbers per output row
    output_offset: u32, // where the first output goes
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> inner: array<f32>;          // [rows, inner_stride]
@group(0) @binding(2) var<storage, read> weight: array<f32>;         // [rounds, rank, outputs]: B transposed
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;     // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read> list: array<u32>;           // count, rows
@group(0) @binding(5) var<storage, read_write> output: array<f32>;   // [rows, output_stride]

@compute @workgroup_size(64)
fn lora_up(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.y * 64u + thread;
    if group.x >= list[0] || i >= params.outputs { return; }
    let row = list[1u + group.x];
    let bank = rows[row].z * params.bank_stride + i;
    var sum = 0.0;
    for (var r = 0u; r < params.rank; r++) {
        sum = fma(weight[bank + r * params.outputs], inner[row * params.inner_stride + r], sum);
    }
    let at = row * params.output_stride + params.output_offset + i;
    output[at] = fma(params.scale, sum, output[at]);
}
