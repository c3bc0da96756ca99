// Weights as q5_1: weight = scale * 5-bit value + minimum. Planes of a row: low nibbles, 1 vector per block; high bits, a word
// per block; f16 scale and f16 minimum, a word per block. Helpers: lib/fields.wgsl, lib/load_five_bits.wgsl.

fn load_block(row: u32, block: u32) -> Block {
    let high = weight(row, params.blocks + block / 4u)[block % 4u];
    let scales = params.blocks + (params.blocks + 3u) / 4u;
    let both = unpack2x16float(weight(row, scales + block / 4u)[block % 4u]);
    return five_bits(weight(row, block), high, both.x, both.y);
}
