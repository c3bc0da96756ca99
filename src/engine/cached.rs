//! A look at what lies in the cache of a lane.

use super::Engine;
use crate::error::{Error, RequestError};
use crate::kernels::PAGE;

/// Keys and values of one position in one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Cached {
    /// Rotated keys, `[KV heads * head_dim]`.
    pub keys: Vec<f32>,
    /// Values, `[KV heads * head_dim]`.
    pub values: Vec<f32>,
}

impl Engine {
    /// What lies at the first positions of a lane in one layer of a plain stack, whether a token left it there or not; it stays
    /// until another sequence takes the pages. For tests, and for those who look inside.
    ///
    /// # Errors
    /// A lane, a layer or positions that there are not, a model whose layers run in several rounds, or what the GPU reports.
    pub async fn cached(&self, lane: u32, layer: usize, positions: u32) -> Result<Vec<Cached>, Error> {
        let refuse = |range: String| RequestError::Setting {
            name: "cache",
            value: format!("lane {lane}, layer {layer}"),
            range,
        };
        let Some(plan_layer) =
            self.plan.layers.get(layer).filter(|_| lane < self.lanes() && positions <= self.context())
        else {
            return Err(refuse("a lane, a layer and positions of this engine".into()).into());
        };
        if self.plan.shared {
            return Err(refuse("looked at where each layer runs once".into()).into());
        }
        let (sizes, cache) = (&self.state.sizes, &self.state.caches[plan_layer.cache.buffer]);
        let first = u64::from(lane * self.plan.classes * sizes.max_pages);
        let pages: Vec<u32> = self.gpu.read(&self.state.lanes.pages, first..first + u64::from(sizes.max_pages)).await?;
        let (width, stride) = (self.config.head_dim as usize, self.config.head_dim.next_multiple_of(4) as usize);
        let mut all = vec![Cached { keys: vec![], values: vec![] }; positions as usize];
        for binding in &cache.bindings {
            let numbers: Vec<f32> = self.gpu.read(binding, 0..binding.bytes() / 4).await?;
            for (position, found) in (0..positions).zip(&mut all) {
                let page = pages[(position / PAGE) as usize];
                for head in 0..cache.heads {
                    let at = |which: u32| {
                        let entry = ((page * cache.heads + head) * 2 + which) * PAGE + position % PAGE;
                        &numbers[entry as usize * stride..][..width]
                    };
                    found.keys.extend(at(0));
                    found.values.extend(at(1));
                }
            }
        }
        Ok(all)
    }
}
