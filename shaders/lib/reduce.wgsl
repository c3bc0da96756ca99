// Sum over a workgroup of WG threads in a fixed tree, so that the same numbers give the same bits.

const WG = 64u;
var<workgroup> reduce_scratch: array<f32, WG>;

// Every thread gets the sum of all threads' values.
fn workgroup_sum(thread: u32, value: f32) -> f32 {
    reduce_scratch[thread] = value;
    workgroupBarrier();
    for (var width = WG / 2u; width > 0u; width /= 2u) {
        if thread < width {
            reduce_scratch[thread] += reduce_scratch[thread + width];
        }
        workgroupBarrier();
    }
    let sum = reduce_scratch[0];
    workgroupBarrier();
    return sum;
}
