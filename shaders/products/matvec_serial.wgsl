// Matrix times a few vectors, out of textures: no workgroup memory, one thread owns 8 outputs.
//
//     output[row] (+)= weight . input[row]
//
// The same sums in the same order as `matvec`. A workgroup takes every so many-th tile of COLS rows, as many as are live.
// Grid: (workgroups that share the tiles, outputs / (8 * THREADS) in lines).
// CPU twin: `cpu` in `src/kernels/products/matvec.rs`.

// From four outputs of a thread to its next four.
const STEP = 4u * THREADS;

@group(0) @binding(4) var<storage, read_write> output: array<f32>; // [rows, output_stride]

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
    // Neighbouring threads own neighbouring outputs.
    let outputs = vec4<u32>(first_output + thread) + vec4<u32>(0u, THREADS, 2u * THREADS, 3u * THREADS);
    loop {
        tile(first, count, outputs, outputs + STEP, thread);
        first += grid.x * COLS;
        continuing { break if first >= count; }
    }
}

struct Destination {
    outputs: u32,
    mode: u32,
    stride: u32,
    offset: u32,
}

fn destination() -> Destination {
    return Destination(params.outputs, params.mode, params.output_stride, params.output_offset);
}

fn store_totals(to: Destination, place: u32, low: vec4<u32>, totals_low: vec4<f32>, high: vec4<u32>, totals_high: vec4<f32>) {
    let row = select(list[1u + place], place, to.mode == 2u);
    let start = row * to.stride + to.offset;
    store(to, start, low, totals_low);
    store(to, start, high, totals_high);
}

fn store(to: Destination, start: u32, outputs: vec4<u32>, totals: vec4<f32>) {
    var sums = totals;
    if to.mode == 1u {
        for (var o = 0u; o < 4u; o++) { sums[o] += output[start + min(outputs[o], to.outputs - 1u)]; }
    }
    for (var o = 0u; o < 4u; o++) {
        if outputs[o] < to.outputs { output[start + outputs[o]] = sums[o]; }
    }
}
