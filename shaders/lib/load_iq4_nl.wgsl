// Weights as iq4_nl: weight = scale * the value that a nibble chooses. Planes of a row: nibbles, 1 vector per block; f16 scales,
// two to a word. Helpers: lib/fields.wgsl, lib/load_choices.wgsl.

fn load_block(row: u32, block: u32) -> Block {
    let scale = half_of(weight(row, params.blocks + block / 8u)[(block / 2u) % 4u], block);
    return chosen(weight(row, block), scale);
}
