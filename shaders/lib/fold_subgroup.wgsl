// Sum and maximum over a workgroup that is one subgroup, in a fixed tree. The baseline twin is lib/fold.wgsl.

const THREADS = 8u;

fn total(thread: u32, value: f32) -> f32 {
    return workgroup_sum(thread, value);
}

// Index of the largest value over the workgroup, ties to the lower index; its value is left in `best_value`.
var<private> best_value: f32;
fn argmax(thread: u32, value: f32, index: u32) -> u32 {
    best_value = subgroupMax(value);
    return subgroupMin(select(0xffffffffu, index, value == best_value));
}
