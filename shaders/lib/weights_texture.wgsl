// Where the loaders find weights: a texture, from which a vector is read at once (src/gpu/texture.rs).
// Eight rows stand side by side, vector by vector, as the threads of `matvec_serial` read them:
// a processor can tell what comes next.

@group(0) @binding(1) var packed_weights: texture_2d<u32>;

fn weight(row: u32, i: u32) -> vec4<u32> {
    let at = ((row / 8u) * params.weight_stride + i) * 8u + row % 8u;
    return textureLoad(packed_weights, texel(at), 0);
}
