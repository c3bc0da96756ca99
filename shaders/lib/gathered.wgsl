// The texture from which the inputs of a product are read, place by place: `gather` and the kernels that make
// such inputs write it.

@group(0) @binding(GATHERED) var gathered: texture_storage_2d<rgba32uint, write>; // [places, vectors]

fn share(at: u32, value: vec4<f32>) {
    textureStore(gathered, texel(at), bitcast<vec4<u32>>(value));
}
