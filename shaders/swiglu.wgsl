// The gated activation of the feed-forward part.
//
//     output = act(gate) * up          act(x) = x / (1 + exp(-x)), or GELU by its approximation with tanh
//
// Grid: (rows of the list in turns, width / 64). CPU twin: `cpu` in `src/kernels/swiglu.rs`.

struct Params {
    width: u32,
    input_stride: u32,  // numbers per row of gate | up
    output_stride: u32, // numbers per output row
    gelu: u32,          // 1: GELU; 0: SiLU
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<f32>;         // [rows, input_stride]: gate, then up
@group(0) @binding(2) var<storage, read> list: array<u32>;          // count, rows
@group(0) @binding(3) var<storage, read_write> output: array<f32>;  // [rows, output_stride]

@compute @workgroup_size(64)
fn swiglu(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group.y * 64u + thread;
    if i >= params.width { return; }
    for (var place = group.x; place < list[0]; place += grid.x) { activate(list[1u + place], i); }
}

fn activate(row: u32, i: u32) {
    let gate = input[row * params.input_stride + i];
    let up = input[row * params.input_stride + params.width + i];
    // GELU's x (1 + tanh(z)) / 2 is x / (1 + exp(-2 z)) with z = sqrt(2 / pi) (x + 0.044715 x^3).
    let gelu = 1.5957691216057308 * (gate + 0.044715 * gate * gate * gate);
    // Beyond -80 the exponential overflows on some drivers; there the activation is 0 to f32 precision.
    let slope = max(select(gate, gelu, params.gelu == 1u), -80.0);
    output[row * params.output_stride + i] = gate / (1.0 + exp(-slope)) * up;
}
