// Weights of 16 bits, two to a word: 4 vectors per block. `widen` stands in the part of the type.

fn load_block(row: u32, block: u32) -> Block {
    let at = block * 4u;
    let a = weight(row, at);
    let b = weight(row, at + 1u);
    let c = weight(row, at + 2u);
    let d = weight(row, at + 3u);
    return Block(
        widen(a.x, a.y), widen(a.z, a.w), widen(b.x, b.y), widen(b.z, b.w),
        widen(c.x, c.y), widen(c.z, c.w), widen(d.x, d.y), widen(d.z, d.w),
    );
}
