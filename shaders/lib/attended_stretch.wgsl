// Where `attention_subgroup` leaves what a head found in one stretch of several: for `attention_merge`.

@group(0) @binding(7) var<storage, read_write> partial: array<vec4<f32>>; // [rows, heads, max_stretches, HEAD4 + 1]

fn store_found(found: Found, d: u32, sum: vec4<f32>) {
    let to = ((found.row * params.heads + found.head) * params.max_stretches + found.stretch) * (HEAD4 + 1u);
    partial[to + d] = sum;
    if d == 0u { partial[to + HEAD4] = vec4<f32>(found.highest, found.weight, 0.0, 0.0); }
}
