// Sum over a workgroup of WG threads that is one subgroup, in a fixed tree. The baseline twin is lib/reduce.wgsl.

const WG = 8u;

// Every thread gets the sum of all threads' values.
fn workgroup_sum(thread: u32, value: f32) -> f32 {
    let a = subgroupBroadcast(value, 0u) + subgroupBroadcast(value, 1u);
    let b = subgroupBroadcast(value, 2u) + subgroupBroadcast(value, 3u);
    let c = subgroupBroadcast(value, 4u) + subgroupBroadcast(value, 5u);
    let d = subgroupBroadcast(value, 6u) + subgroupBroadcast(value, 7u);
    return (a + b) + (c + d);
}
