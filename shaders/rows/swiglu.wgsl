// The gated activation of the feed-forward part.
//
//     output = act(inner) * up          act: see lib/activate.wgsl
//
// Grid: (rows of the list in turns, output_stride / 64). CPU twin: `cpu` in `src/kernels/rows/swiglu.rs`.

struct Params {
    width: u32,
    input_stride: u32,  // numbers per row of inner | up
    output_stride: u32, // vectors per output row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<f32>;              // [rows, input_stride]: inner, then up
@group(0) @binding(2) var<storage, read> list: array<u32>;               // count, rows
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>; // [rows, output_stride], zero behind the width

@compute @workgroup_size(64)
fn swiglu(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group.y * 64u + thread;
    if i >= params.output_stride { return; }
    for (var place = group.x; place < list[0]; place += grid.x) {
        let row = list[1u + place];
        let start = row * params.input_stride + 4u * i;
        var x: vec4<f32>;
        for (var k = 0u; k < 4u; k++) {
            if 4u * i + k < params.width { x[k] = activate(input[start + k]) * input[start + params.width + k]; }
        }
        output[row * params.output_stride + i] = x;
        share(place * params.output_stride + i, x);
    }
}
