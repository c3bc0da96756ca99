// A block of 32 inputs for all threads of `matvec_serial`: each reads one of the 8 vectors and tells the others.
// For subgroups of 8 threads, all of which must be there. The baseline twin is lib/column.wgsl.

fn load_column(at: u32, thread: u32) -> Block {
    let mine = input[at + thread % 8u];
    return Block(
        subgroupBroadcast(mine, 0u), subgroupBroadcast(mine, 1u), subgroupBroadcast(mine, 2u), subgroupBroadcast(mine, 3u),
        subgroupBroadcast(mine, 4u), subgroupBroadcast(mine, 5u), subgroupBroadcast(mine, 6u), subgroupBroadcast(mine, 7u),
    );
}
