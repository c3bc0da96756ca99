// The activation of a gate: ReLU, max(x, 0), to the POWER of 1 or 2.

fn activate(gate: f32) -> f32 {
    let positive = max(gate, 0.0);
    return select(positive, positive * positive, POWER == 2u);
}
