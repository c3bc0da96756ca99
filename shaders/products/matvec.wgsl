// Matrix times a few vectors, for GPUs: the columns of COLS rows of the list at once, weights read once.
//
//     output[row] (+)= weight . input[row]
//
// SPLIT threads share one output: thread s takes blocks s, s + SPLIT, ...; their sums are then added in the order of
// the blocks, so that the result is that of `matvec_serial` and `matmul` to the bit (see lib/block.wgsl).
// Grid: (tiles of COLS rows, outputs / (GROUPS * OUTPUTS) in lines). CPU twin: `cpu` in `src/kernels/products/matvec.rs`.

const SPLIT = 16u;
const GROUPS = 4u;             // outputs side by side: 64 threads / SPLIT
const OUTPUTS = min(4u, 16u / COLS); // outputs of one group, so that every fold has a thread of its own

var<workgroup> partial: array<f32, 64u * OUTPUTS * COLS>;

@group(0) @binding(2) var<storage, read> input: array<vec4<f32>>;      // [rows, input_stride]
@group(0) @binding(4) var<storage, read_write> output: array<f32>;     // [rows, output_stride]

@compute @workgroup_size(64)
fn matvec(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let count = list[0];
    let first_column = group.x * COLS;
    let first_output = (group.z * params.line + group.y) * GROUPS * OUTPUTS;
    if first_column >= count || first_output >= params.outputs { return; }
    let mine = first_output + (thread / SPLIT) * OUTPUTS;
    var starts: array<u32, COLS>;
    for (var c = 0u; c < COLS; c++) {
        starts[c] = list[1u + min(first_column + c, count - 1u)] * params.input_stride;
    }
    var total = 0.0;
    for (var chunk = 0u; chunk < params.blocks; chunk += SPLIT) {
        let block = chunk + thread % SPLIT;
        for (var o = 0u; o < OUTPUTS; o++) {
            var sums: array<f32, COLS>;
            if block < params.blocks && mine + o < params.outputs {
                let b = load_block(mine + o, block);
                for (var c = 0u; c < COLS; c++) {
                    let at = starts[c] + block * 8u;
                    var sum = chain(0.0, b.w0, input[at]);
                    sum = chain(sum, b.w1, input[at + 1u]);
                    sum = chain(sum, b.w2, input[at + 2u]);
                    sum = chain(sum, b.w3, input[at + 3u]);
                    sum = chain(sum, b.w4, input[at + 4u]);
                    sum = chain(sum, b.w5, input[at + 5u]);
                    sum = chain(sum, b.w6, input[at + 6u]);
                    sums[c] = chain(sum, b.w7, input[at + 7u]);
                }
            }
            for (var c = 0u; c < COLS; c++) {
                partial[(o * COLS + c) * 64u + thread] = sums[c];
            }
        }
        workgroupBarrier();
        // Thread `fold` adds up one output of one column: group, output, column.
        if thread < GROUPS * OUTPUTS * COLS {
            let begin = (thread % (OUTPUTS * COLS)) * 64u + (thread / (OUTPUTS * COLS)) * SPLIT;
            for (var s = 0u; s < min(SPLIT, params.blocks - chunk); s++) { total += partial[begin + s]; }
        }
        workgroupBarrier();
    }
    let place = thread % (OUTPUTS * COLS);
    let column = first_column + place % COLS;
    let out = first_output + (thread / (OUTPUTS * COLS)) * OUTPUTS + place / COLS;
    if thread < GROUPS * OUTPUTS * COLS && column < count && out < params.outputs {
        let at = select(list[1u + column], column, params.mode == 2u) * params.output_stride + params.output_offset + out;
        output[at] = select(total, output[at] + total, params.mode == 1u);
    }
}
