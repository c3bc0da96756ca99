// The activation of a feed-forward part: ReLU, max(x, 0), to the POWER of 1 or 2.

fn activate(x: f32) -> f32 {
    let positive = max(x, 0.0);
    return select(positive, positive * positive, POWER == 2u);
}
