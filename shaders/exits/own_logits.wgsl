// Puts the logits of an exit's own head in the place of the model's, for rows of a list that left there.
//
//     logits[place] = own[rank - first]
//     rank: of the row among those of the list that were granted `depth` rounds; `own` holds those from `first` on
//
// Grid: (places of the list, numbers / 256). CPU twin: `cpu` in `src/kernels/exits/own_logits.rs`.

struct Params {
    depth: u32,      // rounds before the exit
    vocabulary: u32, // numbers per row
    first: u32,      // rank of the first row of `own`
    most: u32,       // its rows
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> granted: array<Granted>;     // [rows]
@group(0) @binding(2) var<storage, read> list: array<u32>;            // count, rows
@group(0) @binding(3) var<storage, read> own: array<f32>;             // [ranks, vocabulary]
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;    // [places, vocabulary]

fn left_here(place: u32) -> bool {
    let run = granted[list[1u + place]];
    return run.forced == 0u && run.rounds == params.depth;
}

@compute @workgroup_size(256)
fn own_logits(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.y * 256u + thread;
    if group.x >= list[0] || i >= params.vocabulary || !left_here(group.x) { return; }
    var rank = 0u;
    for (var place = 0u; place < group.x; place++) { rank += u32(left_here(place)); }
    if rank < params.first || rank >= params.first + params.most { return; }
    logits[group.x * params.vocabulary + i] = own[(rank - params.first) * params.vocabulary + i];
}
