// Where the loaders find weights on software adapters: a texture, from which a vector is read at once (src/gpu/texture.rs).

const LINE = 2048u;

@group(0) @binding(1) var packed_weights: texture_2d<u32>;

fn weight(at: u32) -> vec4<u32> {
    return textureLoad(packed_weights, vec2<u32>(at % LINE, at / LINE), 0);
}
