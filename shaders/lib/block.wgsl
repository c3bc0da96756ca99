// A block of 32 weights, and its product with 32 inputs in the one order that every matrix kernel keeps:
// a chain of 32 fused multiply-adds from zero. Blocks are then added up from the first to the last.
// Batch invariance rests on this: how many rows ride along never changes a sum.

struct Block {
    w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>,
    w4: vec4<f32>, w5: vec4<f32>, w6: vec4<f32>, w7: vec4<f32>,
}

fn chain(sum: f32, w: vec4<f32>, x: vec4<f32>) -> f32 {
    return fma(w.w, x.w, fma(w.z, x.z, fma(w.y, x.y, fma(w.x, x.x, sum))));
}
