// Matrix times a few vectors, for software adapters: no workgroup memory, one thread owns 8 outputs.
//
//     output[row] (+)= weight . input[row]
//
// A load costs these adapters as much as a dozen sums: each block of weights serves up to COLS rows, each block of inputs 8
// outputs, and where there are subgroups all their threads (see lib/column_subgroup.wgsl).
// The same sums in the same order as `matvec`. A workgroup takes every so many-th tile of COLS rows, as many as are live.
// What stands behind a condition is computed all the same there, masked; only loops end. So they end at the bottom, which saves
// a masked turn, and rows that are not live are not looped over.
// Grid: (workgroups that share the tiles, outputs / (8 * THREADS) in lines).
// CPU twin: `cpu` in `src/kernels/matvec.rs`.

const THREADS = 8u;
// From four outputs of a thread to its next four.
const STEP = 4u * THREADS;

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
    let first_output = (group.z * params.line + group.y) * 2u * STEP;
    var first = group.x * COLS;
    if first_output >= params.outputs || first >= count { return; }
    loop {
        tile(first, count, first_output + thread, thread);
        first += grid.x * COLS;
        continuing { break if first >= count; }
    }
}

// 8 outputs of up to COLS rows of the list, from the place `first` on.
fn tile(first: u32, count: u32, first_output: u32, thread: u32) {
    // One row is a loop that can be unrolled. Parameters are read once: behind a write, they would be read again.
    let live = select(min(COLS, count - first), 1u, COLS == 1u);
    let blocks = params.blocks;
    // Neighbouring threads own neighbouring outputs. Threads beyond the last compute it again: all have to be there when
    // a column is shared.
    let outputs = vec4<u32>(first_output) + vec4<u32>(0u, THREADS, 2u * THREADS, 3u * THREADS);
    // One array for each output: arrays of vectors take twice as long to compile, and longer to reach.
    var total_0: array<f32, COLS>;
    var total_1: array<f32, COLS>;
    var total_2: array<f32, COLS>;
    var total_3: array<f32, COLS>;
    var total_4: array<f32, COLS>;
    var total_5: array<f32, COLS>;
    var total_6: array<f32, COLS>;
    var total_7: array<f32, COLS>;
    var block = 0u;
    loop {
        let weights_low = load_four(outputs, block);
        let weights_high = load_four(outputs + STEP, block);
        var c = 0u;
        loop {
            let x = load_column(((first + c) * blocks + block) * 8u, thread);
            let low = products(weights_low, x);
            let high = products(weights_high, x);
            total_0[c] += low.x;
            total_1[c] += low.y;
            total_2[c] += low.z;
            total_3[c] += low.w;
            total_4[c] += high.x;
            total_5[c] += high.y;
            total_6[c] += high.z;
            total_7[c] += high.w;
            c++;
            continuing { break if c >= live; }
        }
        block++;
        continuing { break if block >= blocks; }
    }
    let way = Way(params.outputs, params.mode);
    let stride = params.output_stride;
    let offset = params.output_offset;
    var c = 0u;
    loop {
        let place = first + c;
        let row = select(list[1u + place], place, way.mode == 2u);
        let start = row * stride + offset;
        store(start, outputs, vec4<f32>(total_0[c], total_1[c], total_2[c], total_3[c]), way);
        store(start, outputs + STEP, vec4<f32>(total_4[c], total_5[c], total_6[c], total_7[c]), way);
        c++;
        continuing { break if c >= live; }
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

// What stores need of the parameters.
struct Way {
    outputs: u32,
    mode: u32,
}

fn store(start: u32, outputs: vec4<u32>, total: vec4<f32>, way: Way) {
    var sum = total;
    if way.mode == 1u {
        for (var o = 0u; o < 4u; o++) { sum[o] += output[start + min(outputs[o], way.outputs - 1u)]; }
    }
    for (var o = 0u; o < 4u; o++) {
        if outputs[o] < way.outputs { output[start + outputs[o]] = sum[o]; }
    }
}
