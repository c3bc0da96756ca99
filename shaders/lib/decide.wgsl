// What a gate of one score makes of it: the next round is granted or not. Needs `bias`, `scores` and `granted` of its gate,
// `rounds` and `forced` of its parameters, and a rule.

const NOT_FORCED = 0xffffffffu;

// What all threads see of `granted`. Browsers take a barrier only behind a condition that provably holds for all threads,
// which a buffer that is also written does not give.
var<workgroup> granted_here: Granted;

// What stands in `granted` of a row, the same for all threads of the workgroup.
fn granted_to(row: u32, thread: u32) -> Granted {
    if thread == 0u { granted_here = granted[row]; }
    return workgroupUniformLoad(&granted_here);
}

// Rounds to run whatever the score; `run` is what stands in `granted`.
fn forced_rounds(run: Granted) -> u32 {
    return select(params.forced, run.forced, run.forced != 0u);
}

// One thread decides on the round behind those that `run` grants; `free`: whatever the score, unless another depth is forced.
fn decide(row: u32, run: Granted, score: f32, free: bool) {
    let round = run.rounds;
    let forced = forced_rounds(run);
    var previous = score;
    if round > 0u { previous = scores[row * params.rounds + round - 1u]; }
    let open = goes_on(score, previous, -bias[round], round) || free;
    granted[row].rounds = round + u32(select(round < forced, open, forced == NOT_FORCED));
}
