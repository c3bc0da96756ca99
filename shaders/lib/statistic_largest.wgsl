// How probable the most probable token is: 1 / sum_j exp(l_j - l1), where l1 is the largest logit.

fn statistic(thread: u32, start: u32) -> f32 {
    let own = own_best(thread, start);
    _ = argmax(thread, own.logit, own.token);
    let top = best_value;
    var part = 0.0;
    for (var i = thread; i < params.vocabulary; i += THREADS) { part += exp(max(logits[start + i] - top, -80.0)); }
    return 1.0 / total(thread, part);
}
