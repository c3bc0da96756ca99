//! Which pipelines a model's steps and ticks take, before any of them runs: the same code records them, and nothing is handed over.

use crate::error::GpuError;
use crate::gpu::Pass;
use crate::gpu::pipeline::Wanted;
use crate::kernels::STRETCH;
use crate::runtime::step::{Depth, Input, Network, Step};
use crate::runtime::tick::{Order, Tick};

impl Network<'_> {
    /// Pipelines of steps and ticks of every size that there is room for, in this order of rounds. Writes inputs of steps, so
    /// nothing may be under way.
    ///
    /// # Errors
    /// As [`Network::step`].
    pub fn rehearse(&self, order: Order) -> Result<Vec<Wanted>, GpuError> {
        let room = self.state.sizes.room;
        let mut pass: Pass<'_> = self.gpu.rehearsal();
        // Kernels of products and attention differ by the number of rows, up to here.
        for rows in [1, 2, 4, 8, 17].map(|rows: u32| rows.min(room.rows).min(room.context)) {
            let input = |position: u32| Input { lane: 0, position, token: 0, written: false };
            let inputs: Vec<Input> = (0..rows).map(input).collect();
            self.record(
                &mut pass,
                &Step { inputs: &inputs, heads: &[rows - 1], depth: Depth::Model, sample: true },
                None,
            )?;
        }
        self.finish(&mut pass, (&self.state.rows.heads, 1))?;
        let mut living = 1;
        loop {
            let spans = [0, 1, 3, 7].into_iter().chain([room.span - 1]).filter(|guesses| *guesses < room.span);
            for (longest, guesses) in spans.flat_map(|guesses| [(1, guesses), (STRETCH + 1, guesses)]) {
                self.tick(
                    &mut pass,
                    &Tick { order, lanes: living, longest, ragged: true, guesses, guesses_before: guesses },
                )?;
            }
            if living >= room.lanes {
                return Ok(pass.rehearsed());
            }
            living *= 2;
        }
    }
}
