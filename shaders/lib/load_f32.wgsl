// Weights as f32: 8 vectors per block.

fn load_block(row: u32, block: u32) -> Block {
    let at = row * params.weight_stride + block * 8u;
    return Block(
        bitcast<vec4<f32>>(weight(at)), bitcast<vec4<f32>>(weight(at + 1u)),
        bitcast<vec4<f32>>(weight(at + 2u)), bitcast<vec4<f32>>(weight(at + 3u)),
        bitcast<vec4<f32>>(weight(at + 4u)), bitcast<vec4<f32>>(weight(at + 5u)),
        bitcast<vec4<f32>>(weight(at + 6u)), bitcast<vec4<f32>>(weight(at + 7u)),
    );
}
