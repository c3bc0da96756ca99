// Where keys and values lie: pages of PAGE entries, [page][KV head][key, value][entry][HEAD4 vectors]. A binding holds `cache_heads`
// of a layer's KV heads, all of them unless they are more than one binding can show.
// Which page holds an entry is looked up by lane and class: class 0 is for layers that every token runs, the others
// are one per recursion (or one for all of them, where recursions share).

const PAGE = 32u;

@group(0) @binding(1) var<storage, read> pages: array<u32>; // [lanes, classes, max_pages]

// First vector of the key of the binding's first KV head; its value lies PAGE * HEAD4 further on, the next head twice that.
fn key_address(lane: u32, kv_class: u32, entry: u32) -> u32 {
    let page = pages[(lane * params.classes + kv_class) * params.max_pages + entry / PAGE];
    return (page * params.cache_heads * 2u * PAGE + entry % PAGE) * HEAD4;
}
