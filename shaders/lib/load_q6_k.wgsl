// Weights as q6_K: weight = scale * (6-bit value - 32), a scale per 16 weights. Planes of a row: low nibbles, 1 vector per block;
// high pairs of bits, 2 words per block; scales, a signed byte each; f16 scale of the scales, one per super-block of 8, two to a
// word. Helpers: lib/fields.wgsl.

fn load_block(row: u32, block: u32) -> Block {
    let a = weight(row, block);
    let pairs = weight(row, params.blocks + block / 2u);
    let b = select(pairs.xy, pairs.zw, (block & 1u) == 1u);
    let scales = params.blocks + params.blocks / 2u;
    let bytes = weight(row, scales + block / 8u)[(block / 2u) % 4u] >> (16u * (block & 1u));
    let outer = half_of(weight(row, scales + params.blocks / 8u + block / 64u)[(block / 16u) % 4u], block / 8u);
    let first = outer * signed_byte(bytes);
    let second = outer * signed_byte(bytes >> 8u);
    return Block(
        first * (joined(a.x, 0u, b.x, 2u, 0u) - 32.0), first * (joined(a.x, 1u, b.x, 2u, 1u) - 32.0),
        first * (joined(a.y, 0u, b.x, 2u, 2u) - 32.0), first * (joined(a.y, 1u, b.x, 2u, 3u) - 32.0),
        second * (joined(a.z, 0u, b.y, 2u, 0u) - 32.0), second * (joined(a.z, 1u, b.y, 2u, 1u) - 32.0),
        second * (joined(a.w, 0u, b.y, 2u, 2u) - 32.0), second * (joined(a.w, 1u, b.y, 2u, 3u) - 32.0),
    );
}
