// What `matvec_serial` and `matvec_gated` have in common: a thread's two times four outputs of up to COLS rows. The kernel says
// which outputs they are, and where they go: `leave`, with what `way` reads of the parameters beforehand.
//
// A load costs software adapters as much as a dozen sums: each block of weights serves up to COLS rows, each block of inputs 8
// outputs, and where there are subgroups all their threads (see lib/column_subgroup.wgsl).
// What stands behind a condition is computed all the same there, masked; only loops end. So they end at the bottom, which saves
// a masked turn, and rows that are not live are not looped over.

const THREADS = 8u;

// Blocks of four outputs.
struct Four {
    w0: Block,
    w1: Block,
    w2: Block,
    w3: Block,
}

// The outputs `low` and `high` of up to COLS rows of the list, from the place `first` on. All threads have to be there, those
// beyond the last output too: they share columns.
fn tile(first: u32, count: u32, low: vec4<u32>, high: vec4<u32>, thread: u32) {
    // One row is a loop that can be unrolled. Parameters are read once: behind a write, they would be read again.
    let live = select(min(COLS, count - first), 1u, COLS == 1u);
    let blocks = params.blocks;
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
        let weights_low = load_four(low, block);
        let weights_high = load_four(high, block);
        var c = 0u;
        loop {
            let x = load_column(((first + c) * blocks + block) * 8u, thread);
            let sums_low = products(weights_low, x);
            let sums_high = products(weights_high, x);
            total_0[c] += sums_low.x;
            total_1[c] += sums_low.y;
            total_2[c] += sums_low.z;
            total_3[c] += sums_low.w;
            total_4[c] += sums_high.x;
            total_5[c] += sums_high.y;
            total_6[c] += sums_high.z;
            total_7[c] += sums_high.w;
            c++;
            continuing { break if c >= live; }
        }
        block++;
        continuing { break if block >= blocks; }
    }
    let way = way();
    var c = 0u;
    loop {
        let totals_low = vec4<f32>(total_0[c], total_1[c], total_2[c], total_3[c]);
        let totals_high = vec4<f32>(total_4[c], total_5[c], total_6[c], total_7[c]);
        leave(way, first + c, low, totals_low, high, totals_high);
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
