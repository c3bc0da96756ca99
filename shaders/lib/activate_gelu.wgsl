// The activation of a gate: GELU, x (1 + erf(x / sqrt(2))) / 2.

fn activate(gate: f32) -> f32 {
    return 0.5 * gate * (1.0 + error_function(gate * 0.70710678));
}
