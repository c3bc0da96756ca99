// Weights as q4_1: weight = scale * nibble + minimum. 1 vector per block, then a word per block: scale and
// minimum as f16.

fn nibbles(word: u32, first: u32) -> vec4<f32> {
    let shifts = vec4<u32>(0u, 4u, 8u, 12u) + vec4<u32>(first * 4u);
    return vec4<f32>((vec4<u32>(word) >> shifts) & vec4<u32>(15u));
}

fn load_block(row: u32, block: u32) -> Block {
    let a = weight(row, block);
    let word = weight(row, params.blocks + block / 4u)[block % 4u];
    let both = unpack2x16float(word);
    let scale = both.x;
    let minimum = vec4<f32>(both.y);
    return Block(
        scale * nibbles(a.x, 0u) + minimum, scale * nibbles(a.x, 4u) + minimum,
        scale * nibbles(a.y, 0u) + minimum, scale * nibbles(a.y, 4u) + minimum,
        scale * nibbles(a.z, 0u) + minimum, scale * nibbles(a.z, 4u) + minimum,
        scale * nibbles(a.w, 0u) + minimum, scale * nibbles(a.w, 4u) + minimum,
    );
}
