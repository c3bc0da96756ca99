// What a draw is made of: sums and maxima over the workgroup in a fixed tree, the order of numbers as bits, noise.

var<workgroup> numbers: array<f32, THREADS>;
var<workgroup> indices: array<u32, THREADS>;

fn total(thread: u32, value: f32) -> f32 {
    numbers[thread] = value;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if thread < width { numbers[thread] += numbers[thread + width]; }
        workgroupBarrier();
    }
    let sum = numbers[0];
    workgroupBarrier();
    return sum;
}

// A token and its logit.
struct Candidate {
    token: u32,
    logit: f32,
}

// The best of the tokens that a thread looks at, of the logits from `start` on.
fn own_best(thread: u32, start: u32) -> Candidate {
    var best = Candidate(0xffffffffu, LOWEST);
    for (var i = thread; i < params.vocabulary; i += THREADS) {
        if logits[start + i] > best.logit { best = Candidate(i, logits[start + i]); }
    }
    return best;
}

// Index of the largest value over the workgroup, ties to the lower index; its value is left in `best_value`.
var<private> best_value: f32;
fn argmax(thread: u32, value: f32, index: u32) -> u32 {
    numbers[thread] = value;
    indices[thread] = index;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if thread < width {
            let a = numbers[thread];
            let b = numbers[thread + width];
            if b > a || (b == a && indices[thread + width] < indices[thread]) {
                numbers[thread] = b;
                indices[thread] = indices[thread + width];
            }
        }
        workgroupBarrier();
    }
    best_value = numbers[0];
    let best = indices[0];
    workgroupBarrier();
    return best;
}

// Bit patterns in the order of their numbers.
fn ordered(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn mix(value: u32, word: u32) -> u32 {
    var h = (value ^ word) * 0x9e3779b1u;
    h = (h ^ (h >> 16u)) * 0x85ebca6bu;
    h = (h ^ (h >> 13u)) * 0xc2b2ae35u;
    return h ^ (h >> 16u);
}

fn gumbel(key: u32, token: u32) -> f32 {
    let uniform = (f32(mix(key, token) >> 8u) + 0.5) / 16777216.0;
    return -log(-log(uniform));
}
