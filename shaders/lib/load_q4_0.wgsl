// Weights as q4_0: weight = scale * (nibble - 8). 1 vector per block, then the row's f16 scales, two to a word.

fn scale_of(row: u32, block: u32) -> f32 {
    let pair = unpack2x16float(weight(row, params.blocks + block / 8u)[(block / 2u) % 4u]);
    return select(pair.x, pair.y, (block & 1u) == 1u);
}

fn nibbles(word: u32, first: u32) -> vec4<f32> {
    let shifts = vec4<u32>(0u, 4u, 8u, 12u) + vec4<u32>(first * 4u);
    return vec4<f32>((vec4<u32>(word) >> shifts) & vec4<u32>(15u)) - 8.0;
}

fn load_block(row: u32, block: u32) -> Block {
    let a = weight(row, block);
    let scale = scale_of(row, block);
    return Block(
        scale * nibbles(a.x, 0u), scale * nibbles(a.x, 4u), scale * nibbles(a.y, 0u), scale * nibbles(a.y, 4u),
        scale * nibbles(a.z, 0u), scale * nibbles(a.z, 4u), scale * nibbles(a.w, 0u), scale * nibbles(a.w, 4u),
    );
}
