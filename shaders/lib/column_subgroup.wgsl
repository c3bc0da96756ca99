// A block of 32 inputs for all threads of lib/serial.wgsl, from a texture (lib/gathered.wgsl): each thread reads one of the
// 8 vectors and tells the others. For subgroups of 8 threads, all of which must be there. The baseline twin is lib/column.wgsl.

@group(0) @binding(2) var inputs: texture_2d<u32>; // [places, 8 * blocks]

fn load_column(at: u32, thread: u32) -> Block {
    let mine = bitcast<vec4<f32>>(textureLoad(inputs, texel(at + thread % 8u), 0));
    return Block(
        subgroupBroadcast(mine, 0u), subgroupBroadcast(mine, 1u), subgroupBroadcast(mine, 2u), subgroupBroadcast(mine, 3u),
        subgroupBroadcast(mine, 4u), subgroupBroadcast(mine, 5u), subgroupBroadcast(mine, 6u), subgroupBroadcast(mine, 7u),
    );
}
