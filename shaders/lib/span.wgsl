// Which entries a tile of QROWS rows attends to. For `attention` alone: it needs its bindings and `entries.wgsl`.

// First and end of the entries that some row of a tile sees.
fn span_of(first: u32, count: u32) -> vec2<u32> {
    var span = vec2<u32>(0xffffffffu, 0u);
    for (var q = 0u; q < QROWS; q++) {
        let row = list[1u + min(first + q, count - 1u)];
        span = vec2<u32>(min(span.x, first_of(row)), max(span.y, entries_of(row)));
    }
    return span;
}
