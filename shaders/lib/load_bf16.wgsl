// Weights as bf16, two to a word: 4 vectors per block. A bf16 is the upper half of an f32.

@group(0) @binding(1) var<storage, read> weight: array<vec4<u32>>;

fn widen(low: u32, high: u32) -> vec4<f32> {
    let upper = 0xffff0000u;
    return bitcast<vec4<f32>>(vec4<u32>(low << 16u, low & upper, high << 16u, high & upper));
}

fn load_block(row: u32, block: u32) -> Block {
    let at = row * params.weight_stride + block * 4u;
    let a = weight[at];
    let b = weight[at + 1u];
    let c = weight[at + 2u];
    let d = weight[at + 3u];
    return Block(
        widen(a.x, a.y), widen(a.z, a.w), widen(b.x, b.y), widen(b.z, b.w),
        widen(c.x, c.y), widen(c.z, c.w), widen(d.x, d.y), widen(d.z, d.w),
    );
}
