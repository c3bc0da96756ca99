// How far the most probable token is ahead of the next one: p1 - p2 = (1 - exp(l2 - l1)) / sum_j exp(l_j - l1), where l1 and l2
// are the two largest logits.

// The best of the tokens that a thread looks at, without one.
fn next_best(thread: u32, start: u32, without: u32) -> Candidate {
    var best = Candidate(0xffffffffu, LOWEST);
    for (var i = thread; i < params.vocabulary; i += THREADS) {
        let x = logits[start + i];
        if i != without && x > best.logit { best = Candidate(i, x); }
    }
    return best;
}

fn statistic(thread: u32, start: u32) -> f32 {
    let own = own_best(thread, start);
    let best = argmax(thread, own.logit, own.token);
    let top = best_value;
    let other = next_best(thread, start, best);
    _ = argmax(thread, other.logit, other.token);
    let second = best_value;
    var part = 0.0;
    for (var i = thread; i < params.vocabulary; i += THREADS) { part += exp(max(logits[start + i] - top, -80.0)); }
    return (1.0 - exp(max(second - top, -80.0))) / total(thread, part);
}
