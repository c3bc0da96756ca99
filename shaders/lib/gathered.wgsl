// What a kernel makes for a product goes to the texture of `gather` as well, where software adapters read it: place by place.

@group(0) @binding(GATHERED) var gathered: texture_storage_2d<rgba32uint, write>; // [places, vectors]

fn share(at: u32, value: vec4<f32>) {
    textureStore(gathered, texel(at), bitcast<vec4<u32>>(value));
}
