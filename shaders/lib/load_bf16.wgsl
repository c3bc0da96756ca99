// Weights as bf16, read by lib/load_half.wgsl. A bf16 is the upper half of an f32.

fn widen(low: u32, high: u32) -> vec4<f32> {
    let upper = 0xffff0000u;
    return bitcast<vec4<f32>>(vec4<u32>(low << 16u, low & upper, high << 16u, high & upper));
}
