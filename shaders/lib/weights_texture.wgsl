// Where the loaders find weights on software adapters: a texture, from which a vector is read at once (src/gpu/texture.rs).

@group(0) @binding(1) var packed_weights: texture_2d<u32>;

fn weight(at: u32) -> vec4<u32> {
    return textureLoad(packed_weights, texel(at), 0);
}
