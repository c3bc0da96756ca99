// Weights as q2_K: weight = scale * 2-bit value + minimum, both for 16 weights. Planes of a row: values, 2 words per block; for each
// 16 weights a byte, the scale in its low nibble, the minimum in its high one; for each super-block of 8 a word of two f16, the
// scale of the scales and that of the minimums. Helpers: lib/fields.wgsl.

fn load_block(row: u32, block: u32) -> Block {
    let values = weight(row, block / 2u);
    let v = select(values.xy, values.zw, (block & 1u) == 1u);
    let scales = params.blocks / 2u;
    let bytes = weight(row, scales + block / 8u)[(block / 2u) % 4u] >> (16u * (block & 1u));
    let outer = unpack2x16float(weight(row, scales + params.blocks / 8u + block / 32u)[(block / 8u) % 4u]);
    let parts = outer.xyxy * vec4<f32>(fields(bytes, 4u, 0u));
    let m = vec4<f32>(-parts.y);
    let n = vec4<f32>(-parts.w);
    return Block(
        parts.x * vec4<f32>(fields(v.x, 2u, 0u)) + m, parts.x * vec4<f32>(fields(v.x, 2u, 1u)) + m,
        parts.x * vec4<f32>(fields(v.x, 2u, 2u)) + m, parts.x * vec4<f32>(fields(v.x, 2u, 3u)) + m,
        parts.z * vec4<f32>(fields(v.y, 2u, 0u)) + n, parts.z * vec4<f32>(fields(v.y, 2u, 1u)) + n,
        parts.z * vec4<f32>(fields(v.y, 2u, 2u)) + n, parts.z * vec4<f32>(fields(v.y, 2u, 3u)) + n,
    );
}
