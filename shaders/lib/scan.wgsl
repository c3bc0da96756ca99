// A sum over the threads before each, for lists that are made by a count and a second walk. Needs THREADS of its kernel.

var<workgroup> counts: array<u32, THREADS>;

// Of what the threads before this one bring.
fn sum_before(thread: u32, count: u32) -> u32 {
    counts[thread] = count;
    workgroupBarrier();
    for (var step = 1u; step < THREADS; step *= 2u) {
        var left = 0u;
        if thread >= step { left = counts[thread - step]; }
        workgroupBarrier();
        counts[thread] += left;
        workgroupBarrier();
    }
    return counts[thread] - count;
}
