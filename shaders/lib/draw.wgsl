// What a draw is made of: the best of many tokens, the order of numbers as bits, noise. It needs `hash.wgsl`.

// A token and its logit.
struct Candidate {
    token: u32,
    logit: f32,
}

// The best of the tokens that a thread looks at, of the logits from `start` on.
fn own_best(thread: u32, start: u32) -> Candidate {
    var best = Candidate(0xffffffffu, LOWEST);
    for (var i = thread; i < params.vocabulary; i += THREADS) {
        let x = logits[start + i];
        if x > best.logit { best = Candidate(i, x); }
    }
    return best;
}

// Bit patterns in the order of their numbers.
fn ordered(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn gumbel(key: u32, token: u32) -> f32 {
    let uniform = (f32(mix(key, token) >> 8u) + 0.5) / 16777216.0;
    return -log(-log(uniform));
}
