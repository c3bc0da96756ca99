// Fields of bits in words, four at a time, and scales of 16 bits: what several loaders of quantised weights have in common.

// Fields 4 * quad and the three behind it, each of so many bits.
fn fields(word: u32, bits: u32, quad: u32) -> vec4<u32> {
    let shifts = (vec4<u32>(0u, 1u, 2u, 3u) + vec4<u32>(4u * quad)) * bits;
    return (vec4<u32>(word) >> shifts) & vec4<u32>((1u << bits) - 1u);
}

// Four numbers of 4 bits below and `bits` bits above, `quad` fours into both words.
fn joined(low: u32, quad: u32, high: u32, bits: u32, high_quad: u32) -> vec4<f32> {
    return vec4<f32>(fields(low, 4u, quad) | (fields(high, bits, high_quad) << vec4<u32>(4u)));
}

// Of two f16 in a word, the one that an odd or even index means.
fn half_of(word: u32, index: u32) -> f32 {
    let pair = unpack2x16float(word);
    return select(pair.x, pair.y, (index & 1u) == 1u);
}

// The signed byte at the lowest bits.
fn signed_byte(word: u32) -> f32 {
    return f32(bitcast<i32>(word << 24u) >> 24u);
}
