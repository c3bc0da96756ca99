// Weights as q4_K: weight = scale * nibble + minimum. Planes of a row: nibbles, 1 vector per block; a vector of scales per
// super-block of 8. Helpers: lib/fields.wgsl, lib/load_k_scales.wgsl.

fn load_block(row: u32, block: u32) -> Block {
    let a = weight(row, block);
    let both = scale_and_minimum(weight(row, params.blocks + block / 8u), block);
    let scale = both.x;
    let m = vec4<f32>(both.y);
    return Block(
        scale * vec4<f32>(fields(a.x, 4u, 0u)) + m, scale * vec4<f32>(fields(a.x, 4u, 1u)) + m,
        scale * vec4<f32>(fields(a.y, 4u, 0u)) + m, scale * vec4<f32>(fields(a.y, 4u, 1u)) + m,
        scale * vec4<f32>(fields(a.z, 4u, 0u)) + m, scale * vec4<f32>(fields(a.z, 4u, 1u)) + m,
        scale * vec4<f32>(fields(a.w, 4u, 0u)) + m, scale * vec4<f32>(fields(a.w, 4u, 1u)) + m,
    );
}
