// Matrix times many vectors: tiles of 64 outputs by 32 rows of the list, through workgroup memory.
//
//     output[row] (+)= weight . input[row]
//
// The same sums in the same order as `matvec`: each block of 32 columns is one chain, blocks are added in order.
// Grid: (rows / 32, outputs / 64 in lines). CPU twin: `cpu` in `src/kernels/products/matvec.rs`.

// Tiles stand vector by vector, [8][64] and [8][32], so that neighbouring threads read neighbouring vectors.
var<workgroup> weights: array<vec4<f32>, 512>;
var<workgroup> inputs: array<vec4<f32>, 256>;

@group(0) @binding(2) var<storage, read> input: array<vec4<f32>>;      // [rows, input_stride]
@group(0) @binding(4) var<storage, read_write> output: array<f32>;     // [rows, output_stride]

@compute @workgroup_size(128)
fn matmul(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let count = list[0];
    let first_row = group.x * 32u;
    let first_output = (group.z * params.line + group.y) * 64u;
    if first_row >= count || first_output >= params.outputs { return; }
    // A thread owns outputs x, x + 16, x + 32, x + 48 of rows y, y + 8, y + 16, y + 24.
    let x = thread % 16u;
    let y = thread / 16u;
    var total: array<vec4<f32>, 4>;
    for (var block = 0u; block < params.blocks; block++) {
        if thread < 64u {
            let b = load_block(min(first_output + thread, params.outputs - 1u), block);
            weights[thread] = b.w0;
            weights[64u + thread] = b.w1;
            weights[128u + thread] = b.w2;
            weights[192u + thread] = b.w3;
            weights[256u + thread] = b.w4;
            weights[320u + thread] = b.w5;
            weights[384u + thread] = b.w6;
            weights[448u + thread] = b.w7;
        }
        for (var i = thread; i < 256u; i += 128u) {
            let row = list[1u + min(first_row + i / 8u, count - 1u)];
            inputs[(i % 8u) * 32u + i / 8u] = input[row * params.input_stride + block * 8u + i % 8u];
        }
        workgroupBarrier();
        var sum: array<vec4<f32>, 4>;
        for (var k = 0u; k < 8u; k++) {
            let w0 = weights[k * 64u + x];
            let w1 = weights[k * 64u + x + 16u];
            let w2 = weights[k * 64u + x + 32u];
            let w3 = weights[k * 64u + x + 48u];
            for (var r = 0u; r < 4u; r++) {
                let v = inputs[k * 32u + y + 8u * r];
                let s = sum[r];
                sum[r] = vec4<f32>(chain(s.x, w0, v), chain(s.y, w1, v), chain(s.z, w2, v), chain(s.w, w3, v));
            }
        }
        for (var r = 0u; r < 4u; r++) { total[r] += sum[r]; }
        workgroupBarrier();
    }
    for (var r = 0u; r < 4u; r++) {
        let column = first_row + y + 8u * r;
        if column >= count { break; }
        let start = select(list[1u + column], column, params.mode == 2u) * params.output_stride + params.output_offset;
        for (var o = 0u; o < 4u; o++) {
            let out = first_output + x + 16u * o;
            if out < params.outputs {
                output[start + out] = select(total[r][o], output[start + out] + total[r][o], params.mode == 1u);
            }
        }
    }
}
