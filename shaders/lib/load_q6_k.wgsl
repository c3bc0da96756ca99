// Weights as q6_K: weight = scale * (6-bit value - 32), a scale per 16 weights. 2 vectors per block of 32: the low
// nibbles; then the high pairs of bits of weights 0..15 and 16..31 and their two scales as f32.

fn values(word: u32, first: u32, high: u32, quad: u32) -> vec4<f32> {
    let low = (vec4<u32>(word) >> (vec4<u32>(0u, 4u, 8u, 12u) + vec4<u32>(first * 4u))) & vec4<u32>(15u);
    let top = (vec4<u32>(high) >> (vec4<u32>(0u, 2u, 4u, 6u) + vec4<u32>(quad * 8u))) & vec4<u32>(3u);
    return vec4<f32>(low | (top << vec4<u32>(4u))) - 32.0;
}

fn load_block(row: u32, block: u32) -> Block {
    let a = weight(row, block * 2u);
    let b = weight(row, block * 2u + 1u);
    let first = bitcast<f32>(b.z);
    let second = bitcast<f32>(b.w);
    return Block(
        first * values(a.x, 0u, b.x, 0u), first * values(a.x, 4u, b.x, 1u),
        first * values(a.y, 0u, b.x, 2u), first * values(a.y, 4u, b.x, 3u),
        second * values(a.z, 0u, b.y, 0u), second * values(a.z, 4u, b.y, 1u),
        second * values(a.w, 0u, b.y, 2u), second * values(a.w, 4u, b.y, 3u),
    );
}
