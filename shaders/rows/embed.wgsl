// Looks up the embedding of each row's token, and marks the token as seen by its lane (for the repeat penalty).
//
//     hidden[row] = scale * table[token(row)]     token(row) = tokens[row], or what the lane's history has there if that is NEXT
//
// A guess is not marked: it counts as seen for the rows behind it alone, until it is accepted (`keep`).
//
// Grid: one workgroup per row of the list. A table beyond one binding comes in parts; rows of other parts are left.
// CPU twin: `cpu` in `src/kernels/rows/embed.rs`.

struct Params {
    blocks: u32,         // of 32 columns
    weight_stride: u32,  // vectors per table row
    first: u32,          // first token of this part
    rows: u32,           // tokens in this part
    stride: u32,         // vectors per hidden row
    seen_stride: u32,    // words of a lane's set of seen tokens
    scale: f32,
    context: u32,        // positions of a lane in `history`
    base: u32,           // first row of lane 0
    span: u32,           // rows of a lane: its next token, and guesses behind it
}

const NEXT = 0xffffffffu;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;             // [rows]
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>>;         // [rows]: lane, position, round, KV index
@group(0) @binding(4) var<storage, read> list: array<u32>;               // count, rows
@group(0) @binding(5) var<storage, read_write> hidden: array<vec4<f32>>; // [rows, stride]
@group(0) @binding(6) var<storage, read_write> seen: array<atomic<u32>>; // [lanes, seen_stride]: a bit per token
@group(0) @binding(7) var<storage, read_write> history: array<u32>;      // [lanes, context]: token at each position

@compute @workgroup_size(64)
fn embed(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if group.x >= list[0] { return; }
    let row = list[1u + group.x];
    var token = tokens[row];
    let info = rows[row];
    let place = info.x * params.context + info.y;
    if token == NEXT { token = history[place]; }
    if token < params.first || token >= params.first + params.rows { return; }
    if thread == 0u {
        history[place] = token;
        let guess = row > params.base && (row - params.base) % params.span != 0u;
        if !guess { atomicOr(&seen[info.x * params.seen_stride + token / 32u], 1u << (token % 32u)); }
    }
    for (var i = thread; i < params.blocks; i += 64u) {
        let b = load_block(token - params.first, i);
        let at = row * params.stride + i * 8u;
        hidden[at] = params.scale * b.w0;
        hidden[at + 1u] = params.scale * b.w1;
        hidden[at + 2u] = params.scale * b.w2;
        hidden[at + 3u] = params.scale * b.w3;
        hidden[at + 4u] = params.scale * b.w4;
        hidden[at + 5u] = params.scale * b.w5;
        hidden[at + 6u] = params.scale * b.w6;
        hidden[at + 7u] = params.scale * b.w7;
    }
}
