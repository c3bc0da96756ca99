// Matrix times a few vectors, for software adapters: no workgroup memory, one thread owns OUTPUTS outputs.
//
//     output[row] (+)= weight . input[row]
//
// The same sums in the same order as `matvec`. Grid: (outputs / (THREADS * OUTPUTS), tiles of COLS rows).
// CPU twin: `cpu` in `src/kernels/matvec.rs`.

const THREADS = 16u;
const OUTPUTS = 2u;

@compute @workgroup_size(THREADS)
fn matvec_serial(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let count = list[0];
    let first_column = group.z * COLS;
    let first = ((group.y * params.grid_x + group.x) * THREADS + thread) * OUTPUTS;
    if first_column >= count || first >= params.outputs { return; }
    var starts: array<u32, COLS>;
    for (var c = 0u; c < COLS; c++) {
        starts[c] = list[1u + min(first_column + c, count - 1u)] * params.input_stride;
    }
    var total: array<array<f32, COLS>, OUTPUTS>;
    let last = params.outputs - 1u;
    for (var block = 0u; block < params.blocks; block++) {
        let a = load_block(first, block);
        let b = load_block(min(first + 1u, last), block);
        for (var c = 0u; c < COLS; c++) {
            let at = starts[c] + block * 8u;
            var x = input[at];
            var p = chain(0.0, a.w0, x);
            var q = chain(0.0, b.w0, x);
            x = input[at + 1u];
            p = chain(p, a.w1, x);
            q = chain(q, b.w1, x);
            x = input[at + 2u];
            p = chain(p, a.w2, x);
            q = chain(q, b.w2, x);
            x = input[at + 3u];
            p = chain(p, a.w3, x);
            q = chain(q, b.w3, x);
            x = input[at + 4u];
            p = chain(p, a.w4, x);
            q = chain(q, b.w4, x);
            x = input[at + 5u];
            p = chain(p, a.w5, x);
            q = chain(q, b.w5, x);
            x = input[at + 6u];
            p = chain(p, a.w6, x);
            q = chain(q, b.w6, x);
            x = input[at + 7u];
            total[0][c] += chain(p, a.w7, x);
            total[1][c] += chain(q, b.w7, x);
        }
    }
    for (var c = 0u; c < COLS; c++) {
        if first_column + c >= count { break; }
        for (var o = 0u; o < min(OUTPUTS, params.outputs - first); o++) {
            let column = first_column + c;
            let row = select(list[1u + column], column, params.mode == 2u);
            let at = row * params.output_stride + params.output_offset + first + o;
            output[at] = select(total[o][c], output[at] + total[o][c], params.mode == 1u);
        }
    }
}
