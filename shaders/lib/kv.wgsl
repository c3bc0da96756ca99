// Where keys and values lie: pages of PAGE entries, [page][KV head][key, value][entry][HEAD4 vectors].
// Which page holds an entry is looked up by lane and class: class 0 is for layers that every token runs, the others
// are one per recursion (or one for all of them, where recursions share).

const PAGE = 32u;

@group(0) @binding(1) var<storage, read> pages: array<u32>; // [lanes, classes, max_pages]

// First vector of the key of KV head 0; its value lies PAGE * HEAD4 further on, the next head twice that.
fn key_address(lane: u32, kv_class: u32, entry: u32) -> u32 {
    let page = pages[(lane * params.classes + kv_class) * params.max_pages + entry / PAGE];
    return (page * params.kv_heads * 2u * PAGE + entry % PAGE) * HEAD4;
}
