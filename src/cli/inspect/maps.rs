//! Index maps of shared layers; goes when `ModelConfig` has these methods itself, which then take precedence.

use isobath::model::config::{KvMode, ModelConfig, Sharing};

pub trait Maps {
    fn n_recursions(&self) -> u32;
    fn unique(&self, layer: u32) -> u32;
    fn recursion_of(&self, layer: u32) -> Option<u32>;
    fn kv_layer(&self, layer: u32) -> u32;
}

impl Maps for ModelConfig {
    fn n_recursions(&self) -> u32 {
        self.recursion.map_or(1, |recursion| recursion.count)
    }

    fn unique(&self, layer: u32) -> u32 {
        self.recursion.map_or(layer, |recursion| {
            place(recursion.sharing, layer, self.n_layers, recursion.count).map_or(layer, |(unique, _)| unique)
        })
    }

    fn recursion_of(&self, layer: u32) -> Option<u32> {
        let recursion = self.recursion?;
        place(recursion.sharing, layer, self.n_layers, recursion.count).map(|(_, recursion)| recursion)
    }

    fn kv_layer(&self, layer: u32) -> u32 {
        match self.kv {
            KvMode::Share { count, sharing } => {
                place(sharing, layer, self.n_layers, count).map_or(layer, |(unique, _)| unique)
            }
            KvMode::Own | KvMode::Hybrid => layer,
        }
    }
}

/// (Layer whose weights are used, recursion) of a repeated layer.
fn place(sharing: Sharing, layer: u32, n_layers: u32, count: u32) -> Option<(u32, u32)> {
    let first = u32::from(matches!(sharing, Sharing::MiddleCycle | Sharing::MiddleSequence));
    let repeated = n_layers.checked_sub(2 * first)?;
    let (depth, inside) = (repeated / count, layer.checked_sub(first).filter(|&inside| inside < repeated)?);
    Some(match sharing {
        Sharing::Cycle | Sharing::MiddleCycle => (first + inside % depth, inside / depth),
        Sharing::Sequence | Sharing::MiddleSequence => (first + inside / count * count, inside % count),
    })
}
