// The product in front of a gated activation together with it, out of textures and by subgroups: a thread
// owns 4 numbers of the inner half and the same 4 of up, and neither is ever stored.
//
//     activated[place] = act(inner . input[row]) * (up . input[row])
//
// The bits of `matvec_serial` and `swiglu`. Grid: (workgroups that share the tiles, numbers / (4 * THREADS) in lines).
// CPU twins: `cpu` in `src/kernels/products/matvec.rs` and `src/kernels/rows/swiglu.rs`.

// Numbers of a workgroup.
const STEP = 4u * THREADS;

@compute @workgroup_size(THREADS)
fn matvec_glu(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let count = list[0];
    let first_number = (group.z * params.line + group.y) * STEP;
    var first = group.x * COLS;
    if first_number >= params.output_stride || first >= count { return; }
    // A vector of the output each.
    let numbers = vec4<u32>(first_number + 4u * thread) + vec4<u32>(0u, 1u, 2u, 3u);
    loop {
        tile(first, count, numbers, numbers + params.outputs / 2u, thread);
        first += grid.x * COLS;
        continuing { break if first >= count; }
    }
}

struct Destination {
    width: u32,
    vectors: u32, // of an output row, zero behind the width
}

fn destination() -> Destination {
    return Destination(params.outputs / 2u, params.output_stride / 4u);
}

fn store_totals(to: Destination, place: u32, low: vec4<u32>, inner: vec4<f32>, high: vec4<u32>, up: vec4<f32>) {
    var x: vec4<f32>;
    for (var k = 0u; k < 4u; k++) {
        if low[k] < to.width { x[k] = activate(inner[k]) * up[k]; }
    }
    share(place * to.vectors + low.x / 4u, x);
}
