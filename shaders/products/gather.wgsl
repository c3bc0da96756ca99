// The rows of a list side by side in a texture, from which some adapters read a vector at once; products read
// every input as often as there are workgroups.
//
//     gathered[place] = input[list[place]]
//
// Where they go is said in lib/gathered.wgsl. Grid: (workgroups that take places in turns). CPU twin: `cpu` in `src/kernels/products/gather.rs`.

const THREADS = 8u;

struct Params {
    vectors: u32, // per row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>; // [rows, vectors]
@group(0) @binding(2) var<storage, read> list: array<u32>;        // count, rows

@compute @workgroup_size(THREADS)
fn gather(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let count = list[0];
    let vectors = params.vectors;
    for (var place = group.x; place < count; place += grid.x) {
        let row = list[1u + place];
        for (var i = thread; i < vectors; i += THREADS) {
            share(place * vectors + i, input[row * vectors + i]);
        }
    }
}
