// What a kernel makes for a product is in its rows, where GPUs read it. The twin for software adapters is lib/gathered.wgsl.

fn share(at: u32, value: vec4<f32>) {}
