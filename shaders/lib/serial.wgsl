// What `matvec_serial` and `matvec_glu` have in common: a thread's two times four outputs of up to COLS rows. The kernel says
// which outputs they are, and where they go: `store_totals`, with what `destination` reads of the parameters beforehand.
//
// A load costs as much as a dozen sums where this runs: each block of weights serves up to COLS rows, each block of inputs 8
// outputs, and where there are subgroups all their threads (see lib/column_subgroup.wgsl).
// What stands behind a condition is computed all the same there, masked; only loops end. So they end at the bottom, which saves
// a masked turn, and rows that are not live are not looped over.

const THREADS = 8u;

// Of a row: four outputs and four more.
struct Sums {
    low: vec4<f32>,
    high: vec4<f32>,
}

// Of all rows, an array for each output: arrays of vectors take twice as long to compile, and longer to reach.
struct Totals {
    low_x: array<f32, COLS>,
    low_y: array<f32, COLS>,
    low_z: array<f32, COLS>,
    low_w: array<f32, COLS>,
    high_x: array<f32, COLS>,
    high_y: array<f32, COLS>,
    high_z: array<f32, COLS>,
    high_w: array<f32, COLS>,
}

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
    var totals: Totals;
    // A row's sums are added up when the next row's are on their way: a compiler that finds a sum used at once computes one
    // after the other, each with nothing to do while it waits for its last step.
    var sums = Sums(vec4<f32>(0.0), vec4<f32>(0.0));
    var held = 0u;
    var block = 0u;
    loop {
        let weights_low = load_four(low, block);
        let weights_high = load_four(high, block);
        var c = 0u;
        loop {
            let x = load_column(((first + c) * blocks + block) * 8u, thread);
            add(&totals, held, sums);
            sums = products(weights_low, weights_high, x);
            held = c;
            c++;
            continuing { break if c >= live; }
        }
        block++;
        continuing { break if block >= blocks; }
    }
    add(&totals, held, sums);
    let to = destination();
    var c = 0u;
    loop {
        let totals_low = vec4<f32>(totals.low_x[c], totals.low_y[c], totals.low_z[c], totals.low_w[c]);
        let totals_high = vec4<f32>(totals.high_x[c], totals.high_y[c], totals.high_z[c], totals.high_w[c]);
        store_totals(to, first + c, low, totals_low, high, totals_high);
        c++;
        continuing { break if c >= live; }
    }
}

fn add(totals: ptr<function, Totals>, row: u32, sums: Sums) {
    (*totals).low_x[row] += sums.low.x;
    (*totals).low_y[row] += sums.low.y;
    (*totals).low_z[row] += sums.low.z;
    (*totals).low_w[row] += sums.low.w;
    (*totals).high_x[row] += sums.high.x;
    (*totals).high_y[row] += sums.high.y;
    (*totals).high_z[row] += sums.high.z;
    (*totals).high_w[row] += sums.high.w;
}

fn load_four(outputs: vec4<u32>, block: u32) -> Four {
    let o = min(outputs, vec4<u32>(params.outputs - 1u));
    return Four(load_block(o.x, block), load_block(o.y, block), load_block(o.z, block), load_block(o.w, block));
}

// The chains of lib/block.wgsl, all eight a step at a time.
fn products(a: Four, b: Four, x: Block) -> Sums {
    var s = Sums(vec4<f32>(0.0), vec4<f32>(0.0));
    s = steps(s, a.w0.w0, a.w1.w0, a.w2.w0, a.w3.w0, b.w0.w0, b.w1.w0, b.w2.w0, b.w3.w0, x.w0);
    s = steps(s, a.w0.w1, a.w1.w1, a.w2.w1, a.w3.w1, b.w0.w1, b.w1.w1, b.w2.w1, b.w3.w1, x.w1);
    s = steps(s, a.w0.w2, a.w1.w2, a.w2.w2, a.w3.w2, b.w0.w2, b.w1.w2, b.w2.w2, b.w3.w2, x.w2);
    s = steps(s, a.w0.w3, a.w1.w3, a.w2.w3, a.w3.w3, b.w0.w3, b.w1.w3, b.w2.w3, b.w3.w3, x.w3);
    s = steps(s, a.w0.w4, a.w1.w4, a.w2.w4, a.w3.w4, b.w0.w4, b.w1.w4, b.w2.w4, b.w3.w4, x.w4);
    s = steps(s, a.w0.w5, a.w1.w5, a.w2.w5, a.w3.w5, b.w0.w5, b.w1.w5, b.w2.w5, b.w3.w5, x.w5);
    s = steps(s, a.w0.w6, a.w1.w6, a.w2.w6, a.w3.w6, b.w0.w6, b.w1.w6, b.w2.w6, b.w3.w6, x.w6);
    return steps(s, a.w0.w7, a.w1.w7, a.w2.w7, a.w3.w7, b.w0.w7, b.w1.w7, b.w2.w7, b.w3.w7, x.w7);
}

fn steps(
    s: Sums,
    a0: vec4<f32>, a1: vec4<f32>, a2: vec4<f32>, a3: vec4<f32>,
    b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>,
    x: vec4<f32>,
) -> Sums {
    let a = transpose(mat4x4<f32>(a0, a1, a2, a3));
    let b = transpose(mat4x4<f32>(b0, b1, b2, b3));
    var t = step(s, a[0], b[0], x.x);
    t = step(t, a[1], b[1], x.y);
    t = step(t, a[2], b[2], x.z);
    return step(t, a[3], b[3], x.w);
}

fn step(s: Sums, a: vec4<f32>, b: vec4<f32>, x: f32) -> Sums {
    return Sums(fma(a, vec4<f32>(x), s.low), fma(b, vec4<f32>(x), s.high));
}
