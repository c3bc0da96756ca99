// Weights as iq4_xs: weight = scale * the value that a nibble chooses. Planes of a row: nibbles, 1 vector per block; for each
// super-block of 8 two words: the f16 scale of the scales, the upper 2 bits of their 6, then the lower 4 bits of each.
// Helpers: lib/fields.wgsl, lib/load_choices.wgsl.

fn load_block(row: u32, block: u32) -> Block {
    let headers = weight(row, params.blocks + block / 16u);
    let header = select(headers.xy, headers.zw, (block & 8u) != 0u);
    let i = block % 8u;
    let six_bits = ((header.y >> (4u * i)) & 15u) | (((header.x >> (16u + 2u * i)) & 3u) << 4u);
    return chosen(weight(row, block), unpack2x16float(header.x).x * (f32(six_bits) - 32.0));
}
