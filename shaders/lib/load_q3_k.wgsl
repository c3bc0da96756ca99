// Weights as q3_K: weight = scale * (3-bit value - 4), a scale per 16 weights. Planes of a row: low pairs of bits, 2 words per block;
// high bits, a word per block; a vector of scales per super-block of 8: 16 scales of 6 bits, then the f16 scale of all.
// Of scale j, the low nibble is in byte j % 8, below that of scale j + 8; its high pair is bits 2 * (j / 4) of byte 8 + j % 4.
// Helpers: lib/fields.wgsl.

fn values(low: u32, quad: u32, high: u32, high_quad: u32) -> vec4<f32> {
    return vec4<f32>(fields(low, 2u, quad) | (fields(high, 1u, high_quad) << vec4<u32>(2u))) - 4.0;
}

fn six_bits(low: u32, high: u32) -> f32 {
    return f32((low & 15u) | ((high & 3u) << 4u)) - 32.0;
}

fn load_block(row: u32, block: u32) -> Block {
    let pairs = weight(row, block / 2u);
    let a = select(pairs.xy, pairs.zw, (block & 1u) == 1u);
    let b = weight(row, params.blocks / 2u + block / 4u)[block % 4u];
    let header = weight(row, params.blocks / 2u + params.blocks / 4u + block / 8u);
    // The block's scales are j = 2 * (block % 8) and the one behind it.
    let byte = 16u * (block & 1u);
    let low = select(header.x, header.y, (block & 2u) != 0u) >> (byte + (block & 4u));
    let high = header.z >> (byte + (block & 6u));
    let outer = unpack2x16float(header.w).x;
    let first = outer * six_bits(low, high);
    let second = outer * six_bits(low >> 8u, high >> 8u);
    return Block(
        first * values(a.x, 0u, b, 0u), first * values(a.x, 1u, b, 1u),
        first * values(a.x, 2u, b, 2u), first * values(a.x, 3u, b, 3u),
        second * values(a.y, 0u, b, 4u), second * values(a.y, 1u, b, 5u),
        second * values(a.y, 2u, b, 6u), second * values(a.y, 3u, b, 7u),
    );
}
