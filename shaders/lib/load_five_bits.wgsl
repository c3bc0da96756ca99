// A block of 5-bit values with scale and minimum: the common part of q5_1 and q5_K.

fn five_bits(a: vec4<u32>, high: u32, scale: f32, minimum: f32) -> Block {
    let m = vec4<f32>(minimum);
    return Block(
        scale * joined(a.x, 0u, high, 1u, 0u) + m, scale * joined(a.x, 1u, high, 1u, 1u) + m,
        scale * joined(a.y, 0u, high, 1u, 2u) + m, scale * joined(a.y, 1u, high, 1u, 3u) + m,
        scale * joined(a.z, 0u, high, 1u, 4u) + m, scale * joined(a.z, 1u, high, 1u, 5u) + m,
        scale * joined(a.w, 0u, high, 1u, 6u) + m, scale * joined(a.w, 1u, high, 1u, 7u) + m,
    );
}
