// A block of 32 inputs for all threads of `matvec_serial`: each reads it for itself.

fn load_column(at: u32, thread: u32) -> Block {
    return Block(
        input[at], input[at + 1u], input[at + 2u], input[at + 3u],
        input[at + 4u], input[at + 5u], input[at + 6u], input[at + 7u],
    );
}
