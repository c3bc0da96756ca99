//! What a lane is told to do, in plain words, and the words of the GPU that say it.

use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::kernels::Control;
use crate::kernels::draw::sample::Settings;
use crate::runtime::state::State;

/// How deep the tokens go that a lane writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneDepth<'a> {
    /// Each as deep as the network's gate says.
    Gate,
    /// All run so many rounds, at least one.
    Fixed(u32),
    /// The token at a position runs as many rounds as stand at its place, at least one. Places that are missing are not
    /// reached.
    Given(&'a [u32]),
}

/// A sequence for a lane.
#[derive(Debug, Clone, Copy)]
pub struct Assignment<'a> {
    /// Tells it from others of the same lane; comes back with each of its events.
    pub serial: u32,
    /// Tokens whose entries are in the cache already.
    pub cached: &'a [u32],
    /// Rounds that each of them ran.
    pub depths: &'a [u8],
    /// Their entries in each class of the cache.
    pub lengths: &'a [u32],
    /// Tokens to be read before the first is drawn, the cached ones included.
    pub reads: u32,
    /// Tokens of its prompt; what is read behind them was written before.
    pub prompt: u32,
    /// Tokens that may be drawn.
    pub remaining: u32,
    /// How deep the drawn ones go.
    pub depth: LaneDepth<'a>,
    /// An end token ends the sequence.
    pub ends: bool,
    /// How tokens are drawn.
    pub settings: Settings,
}

const CONTROL_BYTES: u64 = size_of::<Control>() as u64;

impl State {
    /// Puts a sequence on a lane, before the submission that follows.
    ///
    /// # Errors
    /// Where the device has no room for the depths that are given.
    pub fn assign(&mut self, gpu: &Gpu, lane: u32, to: &Assignment<'_>) -> Result<(), GpuError> {
        let (sizes, at) = (self.sizes, u64::from(lane));
        let context = u64::from(sizes.room.context);
        let (forced, given) = match to.depth {
            LaneDepth::Gate => (0, None),
            LaneDepth::Fixed(rounds) => (rounds, None),
            LaneDepth::Given(depths) => (0, Some(depths)),
        };
        if let Some(depths) = given {
            let bytes = u64::from(sizes.room.lanes) * context * 4;
            if self.lanes.given.bytes() < bytes {
                self.lanes.given = gpu.buffer("depths given", bytes)?;
            }
            gpu.write(&self.lanes.given, at * context * 4, &depths[..depths.len().min(context as usize)]);
        }
        let lanes = &self.lanes;
        let mut seen = vec![0u32; sizes.seen as usize];
        to.cached.iter().for_each(|token| seen[*token as usize / 32] |= 1 << (token % 32));
        let mut reach = vec![0u32; context as usize];
        reach.iter_mut().zip(to.depths).for_each(|(reach, depth)| *reach = u32::from(*depth));
        gpu.write(&lanes.seen, at * u64::from(sizes.seen) * 4, &seen);
        gpu.write(&lanes.history, at * context * 4, to.cached);
        gpu.write(&lanes.reach, at * context * 4, &reach);
        gpu.write(&lanes.lengths, at * to.lengths.len() as u64 * 4, to.lengths);
        gpu.write(&lanes.settings, at * size_of::<Settings>() as u64, &[to.settings]);
        let control = Control {
            phase: Control::READING,
            serial: to.serial,
            position: to.reads,
            remaining: to.remaining,
            forced,
            given: given.is_some().into(),
            ends: to.ends.into(),
            rows: 1,
            begins: to.prompt,
            ..Control::default()
        };
        gpu.write(&lanes.control, at * CONTROL_BYTES, &[control]);
        Ok(())
    }

    /// Lets a token enter a lane whose prompt the submission that follows has read, and that draws none of it.
    pub fn enter(&self, gpu: &Gpu, lane: u32, position: u32, token: u32) {
        let at = u64::from(lane * self.sizes.room.context + position);
        gpu.write(&self.lanes.history, at * 4, &[token]);
        gpu.write(&self.lanes.control, u64::from(lane) * CONTROL_BYTES, &[Control::READY]);
    }

    /// Switches a lane off, before the submission that follows.
    pub fn stop(&self, gpu: &Gpu, lane: u32) {
        gpu.write(&self.lanes.control, u64::from(lane) * CONTROL_BYTES, &[Control::default()]);
    }
}
