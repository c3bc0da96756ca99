// Where the loaders find weights: a storage buffer. The twin for textures is lib/weights_texture.wgsl.

@group(0) @binding(1) var<storage, read> packed_weights: array<vec4<u32>>;

fn weight(row: u32, i: u32) -> vec4<u32> {
    return packed_weights[row * params.weight_stride + i];
}
