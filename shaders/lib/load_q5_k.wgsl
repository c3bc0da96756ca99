// Weights as q5_K: weight = scale * 5-bit value + minimum. Planes of a row: low nibbles, 1 vector per block; high bits, a word
// per block; a vector of scales per super-block of 8. Helpers: lib/fields.wgsl, lib/load_five_bits.wgsl, lib/load_k_scales.wgsl.

fn load_block(row: u32, block: u32) -> Block {
    let high = weight(row, params.blocks + block / 4u)[block % 4u];
    let both = scale_and_minimum(weight(row, params.blocks + params.blocks / 4u + block / 8u), block);
    return five_bits(weight(row, block), high, both.x, both.y);
}
