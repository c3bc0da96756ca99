// Where `attention_subgroup` leaves what a head found if one stretch is all there is: what `attention_merge` would make of it, to
// the bit. For heads of whole vectors.

@group(0) @binding(7) var<storage, read_write> output: array<vec4<f32>>; // [rows, output_stride]

fn store_found(found: Found, d: u32, sum: vec4<f32>) {
    let result = sum / found.weight;
    output[found.row * params.output_stride + found.head * HEAD4 + d] = result;
    share(found.place * params.output_stride + found.head * HEAD4 + d, result);
}
