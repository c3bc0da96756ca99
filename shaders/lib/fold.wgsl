// Sum and maximum over a workgroup, in a fixed tree. The twin for subgroups is lib/fold_subgroup.wgsl.

const THREADS = 256u;

var<workgroup> numbers: array<f32, THREADS>;
var<workgroup> indices: array<u32, THREADS>;

fn total(thread: u32, value: f32) -> f32 {
    numbers[thread] = value;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if thread < width { numbers[thread] += numbers[thread + width]; }
        workgroupBarrier();
    }
    let sum = numbers[0];
    workgroupBarrier();
    return sum;
}

// Index of the largest value over the workgroup, ties to the lower index; its value is left in `best_value`.
var<private> best_value: f32;
fn argmax(thread: u32, value: f32, index: u32) -> u32 {
    numbers[thread] = value;
    indices[thread] = index;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if thread < width {
            let a = numbers[thread];
            let b = numbers[thread + width];
            if b > a || (b == a && indices[thread + width] < indices[thread]) {
                numbers[thread] = b;
                indices[thread] = indices[thread + width];
            }
        }
        workgroupBarrier();
    }
    best_value = numbers[0];
    let best = indices[0];
    workgroupBarrier();
    return best;
}
