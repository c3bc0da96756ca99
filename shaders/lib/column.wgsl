// A block of 32 inputs of lib/serial.wgsl, from a texture (lib/gathered.wgsl): each thread reads it for itself.

@group(0) @binding(2) var inputs: texture_2d<u32>; // [places, 8 * blocks]

fn load_column(at: u32, thread: u32) -> Block {
    // Lines hold whole blocks.
    let start = texel(at);
    return Block(
        column_vector(start, 0u), column_vector(start, 1u), column_vector(start, 2u), column_vector(start, 3u),
        column_vector(start, 4u), column_vector(start, 5u), column_vector(start, 6u), column_vector(start, 7u),
    );
}

fn column_vector(start: vec2<u32>, i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(textureLoad(inputs, vec2<u32>(start.x + i, start.y), 0));
}
