// What the matrix kernels have in common: parameters and bindings (weights, inputs and outputs are bound by who uses them).

struct Params {
    blocks: u32,         // of 32 columns
    weight_stride: u32,  // vectors per weight row
    outputs: u32,        // weight rows
    input_stride: u32,   // vectors per input row
    output_stride: u32,  // numbers per output row
    output_offset: u32,  // where the first output goes
    mode: u32,           // 0: write; 1: add to what is there; 2: write at the place in the list, not at the row
    line: u32,           // workgroups in y before the next line begins in z
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> list: array<u32>; // count, rows
