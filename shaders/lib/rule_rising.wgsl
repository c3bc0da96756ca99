// Whether a token runs its next round: the rule `Rising` in `src/depth/policy.rs`. Nothing has risen in the first round.
fn goes_on(score: f32, previous: f32, threshold: f32, round: u32) -> bool {
    return round == 0u || score - previous >= threshold;
}
