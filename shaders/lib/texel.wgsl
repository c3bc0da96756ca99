// Where a vector lies in a texture that holds plain words (src/gpu/texture.rs): in lines of LINE vectors.

const LINE = 2048u;

fn texel(at: u32) -> vec2<u32> {
    return vec2<u32>(at % LINE, at / LINE);
}
