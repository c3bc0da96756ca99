// The activation of a feed-forward part: GELU, x (1 + erf(x / sqrt(2))) / 2.

fn activate(x: f32) -> f32 {
    return 0.5 * x * (1.0 + error_function(x * 0.70710678));
}
