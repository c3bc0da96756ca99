// Weights as f32: 8 vectors per block.

fn load_block(row: u32, block: u32) -> Block {
    let at = block * 8u;
    return Block(
        bitcast<vec4<f32>>(weight(row, at)), bitcast<vec4<f32>>(weight(row, at + 1u)),
        bitcast<vec4<f32>>(weight(row, at + 2u)), bitcast<vec4<f32>>(weight(row, at + 3u)),
        bitcast<vec4<f32>>(weight(row, at + 4u)), bitcast<vec4<f32>>(weight(row, at + 5u)),
        bitcast<vec4<f32>>(weight(row, at + 6u)), bitcast<vec4<f32>>(weight(row, at + 7u)),
    );
}
