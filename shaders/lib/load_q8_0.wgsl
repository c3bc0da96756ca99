// Weights as q8_0: weight = scale * signed byte. 2 vectors per block, then the row's f16 scales, two to a word.

fn scale_of(row: u32, block: u32) -> f32 {
    let pair = unpack2x16float(weight(row, params.blocks * 2u + block / 8u)[(block / 2u) % 4u]);
    return select(pair.x, pair.y, (block & 1u) == 1u);
}

fn bytes(word: u32) -> vec4<f32> {
    let shifted = vec4<u32>(word << 24u, word << 16u, word << 8u, word);
    return vec4<f32>(bitcast<vec4<i32>>(shifted) >> vec4<u32>(24u));
}

fn load_block(row: u32, block: u32) -> Block {
    let a = weight(row, block * 2u);
    let b = weight(row, block * 2u + 1u);
    let scale = scale_of(row, block);
    return Block(
        scale * bytes(a.x), scale * bytes(a.y), scale * bytes(a.z), scale * bytes(a.w),
        scale * bytes(b.x), scale * bytes(b.y), scale * bytes(b.z), scale * bytes(b.w),
    );
}
