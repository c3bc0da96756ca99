//! Puts the logits of an exit's own head in the place of the model's, for rows that left there.
//!
//! Shader: `shaders/exits/own_logits.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{GRANTED, Granted};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct OwnLogits<'a> {
    /// `[rows]` of [`Granted`]
    pub granted: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[ranks, vocabulary]`
    pub own: &'a Buffer,
    /// `[places, vocabulary]`
    pub logits: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Rounds before the exit.
    pub depth: u32,
    /// Numbers per row.
    pub vocabulary: u32,
    /// Rank of the first row of `own`.
    pub first: u32,
    /// Its rows.
    pub most: u32,
}
}

impl Kernel for OwnLogits<'_> {
    const NAME: &'static str = "own_logits";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/exits/own_logits.wgsl"), GRANTED], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.granted.read(), self.list.read(), self.own.read(), self.logits.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, self.params.vocabulary.div_ceil(256), 1]
    }
}

/// CPU twin: for each row of the list the row of `own` that takes its place.
pub fn cpu(params: &Params, granted: &[Granted], list: &[u32]) -> Vec<Option<usize>> {
    let mut rank = 0;
    let mut place = |row: &u32| {
        let Granted { rounds, forced } = granted[*row as usize];
        let left = forced == 0 && rounds == params.depth;
        rank += usize::from(left);
        let (rank, first) = (rank.wrapping_sub(1), params.first as usize);
        (left && (first..first + params.most as usize).contains(&rank)).then(|| rank - first)
    };
    list.iter().map(&mut place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n, vocabulary, first, most) in [(1u32, 3u32, 0, 1), (9, 256, 0, 9), (40, 300, 0, 40), (40, 300, 3, 4)] {
            let granted: Vec<Granted> =
                (0..n).map(|i| Granted { rounds: i % 3, forced: u32::from(i % 5 == 4) }).collect();
            let list: Vec<u32> = (0..n).rev().collect();
            let [own, before] = [41, 42].map(|seed| numbers((n * vocabulary) as usize, seed));
            let logits = device.upload(&before);
            let params = Params { depth: 1, vocabulary, first, most };
            device.run(&OwnLogits {
                granted: &device.upload(&granted),
                list: &device.upload(&[&[n], &list[..]].concat()),
                own: &device.upload(&own),
                logits: &logits,
                n_rows: n,
                params,
            });
            let width = vocabulary as usize;
            let (got, ranks) = (device.floats(&logits), cpu(&params, &granted, &list));
            for (place, rank) in ranks.into_iter().enumerate() {
                let want = rank.map_or(&before[place * width..][..width], |rank| &own[rank * width..][..width]);
                assert_eq!(&got[place * width..][..width], want, "place {place} of {n}");
            }
        }
    }
}
