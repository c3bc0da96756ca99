// Weights as f16, read by lib/load_half.wgsl. Needs no shader-f16.

fn widen(low: u32, high: u32) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(low), unpack2x16float(high));
}
