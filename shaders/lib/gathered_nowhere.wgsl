// What a kernel makes for a product is in its rows, where products read buffers. The twin for textures is lib/gathered.wgsl.

fn share(at: u32, value: vec4<f32>) {}
