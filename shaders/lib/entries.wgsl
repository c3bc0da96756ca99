// Which entries a row attends to, and where their keys lie. For `attention` and `attention_subgroup`: it needs their bindings.

// Entries per workgroup of `attention`.
const STRETCH = 256u;

// Number of entries that the row sees, its own included.
fn entries_of(row: u32) -> u32 {
    return select(rows[row].y, rows[row].w, params.compact == 1u) + 1u;
}

// The first of them that lies in its window.
fn first_of(row: u32) -> u32 {
    let entries = entries_of(row);
    return entries - min(entries, params.window);
}

// First vector of an entry's key; where rounds overlay round 0, an entry that did not run this round is taken from there.
fn address_of(info: vec4<u32>, entry: u32, kv_head: u32) -> u32 {
    var round = info.z;
    if params.overlay == 1u && round > 0u && reach[info.x * params.context + entry] <= round { round = 0u; }
    let kv_class = params.class_base + round * params.class_step;
    return key_address(info.x, kv_class, entry) + kv_head * 2u * PAGE * HEAD4;
}
