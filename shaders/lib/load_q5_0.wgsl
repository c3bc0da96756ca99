// Weights as q5_0: weight = scale * (5-bit value - 16). Planes of a row: low nibbles, 1 vector per block; high bits, a word per
// block; f16 scales, two to a word. Helpers: lib/fields.wgsl.

fn load_block(row: u32, block: u32) -> Block {
    let a = weight(row, block);
    let high = weight(row, params.blocks + block / 4u)[block % 4u];
    let scales = params.blocks + (params.blocks + 3u) / 4u;
    let scale = half_of(weight(row, scales + block / 8u)[(block / 2u) % 4u], block);
    return Block(
        scale * (joined(a.x, 0u, high, 1u, 0u) - 16.0), scale * (joined(a.x, 1u, high, 1u, 1u) - 16.0),
        scale * (joined(a.y, 0u, high, 1u, 2u) - 16.0), scale * (joined(a.y, 1u, high, 1u, 3u) - 16.0),
        scale * (joined(a.z, 0u, high, 1u, 4u) - 16.0), scale * (joined(a.z, 1u, high, 1u, 5u) - 16.0),
        scale * (joined(a.w, 0u, high, 1u, 6u) - 16.0), scale * (joined(a.w, 1u, high, 1u, 7u) - 16.0),
    );
}
