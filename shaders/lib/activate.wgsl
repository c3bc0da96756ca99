// The activation of a feed-forward part: SiLU, x / (1 + exp(-x)), or where GELU is 1 that, by its approximation with tanh.

fn activate(x: f32) -> f32 {
    // GELU's x (1 + tanh(z)) / 2 is x / (1 + exp(-2 z)) with z = sqrt(2 / pi) (x + 0.044715 x^3).
    let gelu = 1.5957691216057308 * (x + 0.044715 * x * x * x);
    // Beyond -80 the exponential overflows on some drivers; there the activation is 0 to f32 precision.
    let slope = max(select(x, gelu, GELU == 1u), -80.0);
    return x / (1.0 + exp(-slope));
}
