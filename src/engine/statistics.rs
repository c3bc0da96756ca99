//! What an engine counts.

/// What an engine has done since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
    /// Sequences submitted.
    pub submitted: u64,
    /// Sequences that ended, for whatever reason.
    pub finished: u64,
    /// Tokens written.
    pub tokens: u64,
    /// Rounds run to predict them.
    pub rounds: u64,
    /// Ticks submitted, one submission each.
    pub ticks: u64,
    /// Dispatches in them.
    pub dispatches: u64,
    /// Submissions of command buffers: one for each tick, and more where prompts are read at different depths.
    pub submissions: u64,
    /// Tokens of prompts that were read.
    pub read: u64,
    /// Rounds run to read them.
    pub read_rounds: u64,
    /// Times that the weights outside the rounds were passed over, by a chunk of prompts or a tick.
    pub outside_passes: u64,
    /// Times that those of one round were.
    pub round_passes: u64,
    /// Where the host's time went; all zero without a [clock](super::Engine::set_clock).
    pub host: HostTime,
}

/// The host's time, by what it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct HostTime {
    /// Planning and recording ticks, in nanoseconds.
    pub recording: u64,
    /// Handing them to the device. Drivers that compute on the CPU may do so within this call.
    pub submitting: u64,
    /// Waiting for the GPU.
    pub waiting: u64,
    /// Telling what came of ticks.
    pub reporting: u64,
}
