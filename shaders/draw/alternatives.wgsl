// The most probable tokens of each row whose token has just been drawn, with their log-probabilities.
//
// Each thread knows the best of its own tokens; who had the best of all looks for its next one.
// Grid: places of the list in turns. CPU twin: `cpu` in `src/kernels/draw/alternatives.rs`.

struct Params {
    vocabulary: u32,
    stride: u32, // numbers per row of logits
}

const LOWEST = -1e30;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> list: array<u32>;               // count, rows
@group(0) @binding(2) var<storage, read> logits: array<f32>;             // [places, stride]
@group(0) @binding(3) var<storage, read_write> drawn: array<u32>;        // [places, DRAWN]: token and bits of its log-probability,
                                                                         // then the same of each alternative

@compute @workgroup_size(THREADS)
fn alternatives(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var place = group.x; place < list[0]; place += grid.x) { list_alternatives(place, thread); }
}

fn list_alternatives(place: u32, thread: u32) {
    let start = place * params.stride;
    let at = place * DRAWN;
    // What `sample` subtracted.
    let log_mass = logits[start + drawn[at]] - bitcast<f32>(drawn[at + 1u]);
    var own = own_best(thread, start);
    for (var word = 2u; word < DRAWN; word += 2u) {
        let found = argmax(thread, own.logit, own.token);
        let top = best_value;
        if thread == 0u {
            drawn[at + word] = found;
            drawn[at + word + 1u] = bitcast<u32>(top - log_mass);
        }
        if thread == found % THREADS {
            own = Candidate(0xffffffffu, LOWEST);
            for (var i = thread; i < params.vocabulary; i += THREADS) {
                let x = logits[start + i];
                if x > own.logit && (x < top || (x == top && i > found)) { own = Candidate(i, x); }
            }
        }
    }
}
