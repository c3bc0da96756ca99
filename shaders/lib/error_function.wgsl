// Error function to 1.2e-7 (Numerical Recipes, section 6.2, Chebyshev fit of erfc).
fn error_function(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.5 * abs(x));
    var p = fma(t, 0.17087277, -0.82215223);
    p = fma(t, p, 1.48851587);
    p = fma(t, p, -1.13520398);
    p = fma(t, p, 0.27886807);
    p = fma(t, p, -0.18628806);
    p = fma(t, p, 0.09678418);
    p = fma(t, p, 0.37409196);
    p = fma(t, p, 1.00002368);
    p = fma(t, p, -1.26551223);
    let tail = t * exp(max(p - x * x, -80.0));
    return select(tail - 1.0, 1.0 - tail, x >= 0.0);
}
