// Matrix times a few vectors, for software adapters: no workgroup memory, one thread owns OUTPUTS outputs, 8 or 16.
//
//     output[row] (+)= weight . input[row]
//
// A load costs these adapters as much as a dozen sums: each block of weights serves COLS rows, each block of inputs OUTPUTS
// outputs, and where there are subgroups all their threads (see lib/column_subgroup.wgsl).
// The same sums in the same order as `matvec`. A workgroup takes every so many-th tile of COLS rows, as many as are live: on
// these adapters one that finds nothing to do computes its first block all the same, masked.
// Grid: (workgroups that share the tiles, outputs / (OUTPUTS * THREADS) in lines).
// CPU twin: `cpu` in `src/kernels/matvec.rs`.

const THREADS = 8u;
// From four outputs of a thread to its next four.
const STEP = 4u * THREADS;
// Loops over arrays of arrays are not unrolled there, and what is not unrolled is slow: so all is named.
const WIDE = OUTPUTS == 16u;

// Blocks of four outputs.
struct Four {
    w0: Block,
    w1: Block,
    w2: Block,
    w3: Block,
}

@compute @workgroup_size(THREADS)
fn matvec_serial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let count = list[0];
    let first_output = (group.z * params.line + group.y) * OUTPUTS * THREADS;
    if first_output >= params.outputs { return; }
    for (var first = group.x * COLS; first < count; first += grid.x * COLS) {
        tile(first, count, first_output + thread, thread);
    }
}

// OUTPUTS outputs of up to COLS rows of the list, from the place `first` on.
fn tile(first: u32, count: u32, first_output: u32, thread: u32) {
    var starts: array<u32, COLS>;
    for (var c = 0u; c < COLS; c++) {
        starts[c] = list[1u + min(first + c, count - 1u)] * params.input_stride;
    }
    // Neighbouring threads own neighbouring outputs. Threads beyond the last compute it again: all have to be there when
    // a column is shared.
    let outputs = vec4<u32>(first_output) + vec4<u32>(0u, THREADS, 2u * THREADS, 3u * THREADS);
    var total_0: array<vec4<f32>, COLS>;
    var total_1: array<vec4<f32>, COLS>;
    var total_2: array<vec4<f32>, COLS>;
    var total_3: array<vec4<f32>, COLS>;
    for (var block = 0u; block < params.blocks; block++) {
        let weights_0 = load_four(outputs, block);
        let weights_1 = load_four(outputs + STEP, block);
        var weights_2: Four;
        var weights_3: Four;
        if WIDE {
            weights_2 = load_four(outputs + 2u * STEP, block);
            weights_3 = load_four(outputs + 3u * STEP, block);
        }
        for (var c = 0u; c < COLS; c++) {
            let x = load_column(starts[c] + block * 8u, thread);
            total_0[c] += products(weights_0, x);
            total_1[c] += products(weights_1, x);
            if WIDE {
                total_2[c] += products(weights_2, x);
                total_3[c] += products(weights_3, x);
            }
        }
    }
    for (var c = 0u; c < COLS; c++) {
        let place = first + c;
        if place >= count { break; }
        let row = select(list[1u + place], place, params.mode == 2u);
        let start = row * params.output_stride + params.output_offset;
        store(start, outputs, total_0[c]);
        store(start, outputs + STEP, total_1[c]);
        if WIDE {
            store(start, outputs + 2u * STEP, total_2[c]);
            store(start, outputs + 3u * STEP, total_3[c]);
        }
    }
}

fn load_four(outputs: vec4<u32>, block: u32) -> Four {
    let o = min(outputs, vec4<u32>(params.outputs - 1u));
    return Four(load_block(o.x, block), load_block(o.y, block), load_block(o.z, block), load_block(o.w, block));
}

fn products(w: Four, x: Block) -> vec4<f32> {
    return vec4<f32>(product(w.w0, x), product(w.w1, x), product(w.w2, x), product(w.w3, x));
}

fn product(w: Block, x: Block) -> f32 {
    var sum = chain(0.0, w.w0, x.w0);
    sum = chain(sum, w.w1, x.w1);
    sum = chain(sum, w.w2, x.w2);
    sum = chain(sum, w.w3, x.w3);
    sum = chain(sum, w.w4, x.w4);
    sum = chain(sum, w.w5, x.w5);
    sum = chain(sum, w.w6, x.w6);
    return chain(sum, w.w7, x.w7);
}

fn store(start: u32, outputs: vec4<u32>, total: vec4<f32>) {
    var sum = total;
    if params.mode == 1u {
        for (var o = 0u; o < 4u; o++) { sum[o] += output[start + min(outputs[o], params.outputs - 1u)]; }
    }
    for (var o = 0u; o < 4u; o++) {
        if outputs[o] < params.outputs { output[start + outputs[o]] = sum[o]; }
    }
}
