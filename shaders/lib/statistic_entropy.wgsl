// Entropy in nats: log s - sum_j (l_j - l1) exp(l_j - l1) / s, where l1 is the largest logit and s = sum_j exp(l_j - l1).

fn statistic(thread: u32, start: u32) -> f32 {
    let own = own_best(thread, start);
    _ = argmax(thread, own.logit, own.token);
    let top = best_value;
    var part = 0.0;
    var below = 0.0;
    for (var i = thread; i < params.vocabulary; i += THREADS) {
        let x = max(logits[start + i] - top, -80.0);
        let share = exp(x);
        part += share;
        below = fma(x, share, below);
    }
    let sum = total(thread, part);
    return log(sum) - total(thread, below) / sum;
}
