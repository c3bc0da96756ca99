// The most probable tokens of each row whose token has just been drawn, with their log-probabilities.
//
// Each thread knows the best of its own tokens; who had the best of all looks for its next one.
// Grid: places of the list in turns. CPU twin: `cpu` in `src/kernels/alternatives.rs`.

struct Params {
    vocabulary: u32,
    stride: u32, // numbers per row of logits
}

const THREADS = 256u;
const LOWEST = -1e30;
const DRAWN = 2u + 2u * ALTERNATIVES;

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
    for (var place = group.x; place < list[0]; place += grid.x) { tell(place, thread); }
}

fn tell(place: u32, thread: u32) {
    let start = place * params.stride;
    let at = place * DRAWN;
    // What `sample` subtracted.
    let log_mass = logits[start + drawn[at]] - bitcast<f32>(drawn[at + 1u]);
    var value = LOWEST;
    var index = 0xffffffffu;
    for (var i = thread; i < params.vocabulary; i += THREADS) {
        if logits[start + i] > value { value = logits[start + i]; index = i; }
    }
    for (var a = 0u; a < ALTERNATIVES; a++) {
        let found = argmax(thread, value, index);
        let top = best_value;
        if thread == 0u {
            drawn[at + 2u + 2u * a] = found;
            drawn[at + 3u + 2u * a] = bitcast<u32>(top - log_mass);
        }
        if thread == found % THREADS {
            value = LOWEST;
            index = 0xffffffffu;
            for (var i = thread; i < params.vocabulary; i += THREADS) {
                let x = logits[start + i];
                if x > value && (x < top || (x == top && i > found)) { value = x; index = i; }
            }
        }
    }
}
