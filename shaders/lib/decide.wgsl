// What a gate of one score makes of it: the next round is granted or not. Needs `bias`, `scores` and `granted` of its gate,
// `rounds` and `forced` of its parameters, and a rule.

const NOT_FORCED = 0xffffffffu;

// Rounds to run whatever the score; `word` is what stands in `granted`.
fn forced_rounds(word: u32) -> u32 {
    return select(params.forced, word >> 16u, word >= 0x10000u);
}

// One thread decides on the round behind those that `word` grants; `free`: whatever the score, unless another depth is forced.
fn decide(row: u32, word: u32, score: f32, free: bool) {
    let round = word & 0xffffu;
    let forced = forced_rounds(word);
    var previous = score;
    if round > 0u { previous = scores[row * params.rounds + round - 1u]; }
    let open = goes_on(score, previous, -bias[round], round) || free;
    granted[row] = word + u32(select(round < forced, open, forced == NOT_FORCED));
}
