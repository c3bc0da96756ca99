// Scale and minimum of a block of q4_K and q5_K. A super-block's 16 bytes: f16 scale of the scales, f16 scale of the minimums;
// then for blocks 0 to 3 their 6-bit scales, a byte each, and their 6-bit minimums; then low nibbles of the scales of blocks 4 to
// 7, with those of their minimums above them. Their upper two bits stand above the first eight.

fn scale_and_minimum(header: vec4<u32>, block: u32) -> vec2<f32> {
    let shift = 8u * (block & 3u);
    let bytes = header.yzw >> vec3<u32>(shift);
    let first = bytes.xy & vec2<u32>(63u);
    let low = vec2<u32>(bytes.z & 15u, (bytes.z >> 4u) & 15u);
    let second = low | ((bytes.xy >> vec2<u32>(2u)) & vec2<u32>(48u));
    let both = unpack2x16float(header.x) * vec2<f32>(select(first, second, (block & 4u) != 0u));
    return vec2<f32>(both.x, -both.y);
}
