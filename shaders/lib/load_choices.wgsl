// A block of nibbles that choose among sixteen values: the common part of iq4_nl and iq4_xs. The values stand in four words, a byte
// each with 128 added: what a table in memory would cost is saved.

fn choices(word: u32, quad: u32) -> vec4<f32> {
    let nibble = fields(word, 4u, quad);
    let odd = (nibble & vec4<u32>(4u)) != vec4<u32>(0u);
    let low = select(vec4<u32>(0x3f2d1801u), vec4<u32>(0x766a5d4fu), odd);
    let high = select(vec4<u32>(0xa6998d81u), vec4<u32>(0xf1d9c5b5u), odd);
    let four = select(low, high, (nibble & vec4<u32>(8u)) != vec4<u32>(0u));
    return vec4<f32>((four >> ((nibble & vec4<u32>(3u)) * 8u)) & vec4<u32>(255u)) - 128.0;
}

fn chosen(a: vec4<u32>, scale: f32) -> Block {
    return Block(
        scale * choices(a.x, 0u), scale * choices(a.x, 1u), scale * choices(a.y, 0u), scale * choices(a.y, 1u),
        scale * choices(a.z, 0u), scale * choices(a.z, 1u), scale * choices(a.w, 0u), scale * choices(a.w, 1u),
    );
}
