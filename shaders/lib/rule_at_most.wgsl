// Whether a token runs its next round: the rule `AtMost` in `src/depth/policy.rs`.
fn goes_on(score: f32, previous: f32, threshold: f32, round: u32) -> bool {
    return score <= threshold;
}
