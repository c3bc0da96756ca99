//! Which kernels run: for each product, attention, norm and draw the variant that suits the device, the shape, and the number of
//! rows that live.
//!
//! Each variant says itself what it fits and how its numbers come about ([`NumericClass`]); a recipe is made once, when there is
//! room for rows, and asked for each dispatch.
//!
//! **Invariant:** how many rows there are never changes the order of a sum: what is chosen by their number gives the same bits.

use crate::gpu::Traits;
use crate::kernels::attention::attention_stretch::{Attention, Tile};
use crate::kernels::attention::attention_subgroup::AttentionSubgroup;
use crate::kernels::draw::sample::Sample;
use crate::kernels::products::matmul::Matmul;
use crate::kernels::products::matvec::Matvec;
use crate::kernels::products::matvec_glu::MatvecGlu;
use crate::kernels::products::matvec_serial::MatvecSerial;
use crate::kernels::{NumericClass, by_subgroup};

/// The choice of kernels for one device and room.
#[derive(Debug, Clone)]
pub struct Recipe {
    traits: Traits,
    lanes: u32,
}

/// Variants of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// [`MatvecSerial`], for so many rows at once.
    Serial {
        /// Rows of a workgroup.
        columns: u32,
    },
    /// [`Matvec`].
    Vectors {
        /// Rows of a workgroup.
        columns: u32,
    },
    /// [`Matmul`].
    Tiles,
}

/// Variants of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attending {
    /// [`AttentionSubgroup`].
    Subgroup {
        /// It leaves the whole result, so that nothing is to be joined.
        joined: bool,
    },
    /// [`Attention`], in tiles.
    Tiles(Tile),
}

/// What attention is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Width of a head.
    pub head_dim: u32,
    /// Largest tile.
    pub tile: Tile,
    /// Most rows.
    pub n_rows: u32,
    /// Most entries that a row can see.
    pub longest: u32,
    /// Each row is of a sequence of its own.
    pub decoding: bool,
}

impl Recipe {
    /// For a device with room for so many sequences side by side.
    pub fn new(traits: &Traits, lanes: u32) -> Self {
        Self { traits: *traits, lanes }
    }

    /// How numbers come about.
    pub fn class(&self) -> NumericClass {
        NumericClass::Exact
    }

    /// Most rows of a tick in which so many lanes live: kernels differ by powers of two, so that few are made.
    pub fn rows(&self, living: u32) -> u32 {
        living.next_power_of_two().min(self.lanes)
    }

    /// Products read textures, so whoever makes their inputs leaves these there.
    pub fn gathers(&self) -> bool {
        MatvecSerial::fits(&self.traits)
    }

    /// For a matrix of so many blocks of 32 columns.
    pub fn product(&self, blocks: u32, n_rows: u32) -> Product {
        if MatvecSerial::fits(&self.traits) {
            Product::Serial { columns: MatvecSerial::columns(&self.traits, n_rows, self.lanes, blocks) }
        } else if Matvec::fits(&self.traits, n_rows) {
            Product::Vectors { columns: Matvec::columns(n_rows) }
        } else {
            Product::Tiles
        }
    }

    /// Gate, up and activation in one kernel ([`MatvecGlu`]).
    pub fn glu(&self) -> bool {
        MatvecGlu::fits(&self.traits)
    }

    /// Attention.
    pub fn attention(&self, heads: Heads) -> Attending {
        let Heads { head_dim, tile, n_rows, longest, decoding } = heads;
        if AttentionSubgroup::fits(&self.traits) {
            return Attending::Subgroup { joined: AttentionSubgroup::joins(&self.traits, head_dim, longest) };
        }
        // Rows of different sequences share no key: one behind the other they would only wait.
        let rows = if decoding { 1 } else { tile.rows.min(n_rows.next_power_of_two()) };
        Attending::Tiles(Tile { rows, ..tile })
    }

    /// Workgroups of 64 threads that share a row of so many pieces of work, each as small as the other.
    pub fn share(&self, pieces: u32) -> u32 {
        // Where few workgroups are enough, more of them only begin more often.
        if self.traits.workgroups.is_some() { 1 } else { pieces.div_ceil(64).max(1) }
    }

    /// Norms and products by a subgroup, without workgroup memory.
    pub fn by_subgroup(&self) -> bool {
        by_subgroup(&self.traits)
    }

    /// The same of draws.
    pub fn draws_by_subgroup(&self, vocabulary: u32) -> bool {
        Sample::by_subgroup(&self.traits, vocabulary)
    }
}

/// Everything that a recipe can choose is of one class.
const _: () = {
    let classes = [
        MatvecSerial::CLASS,
        MatvecGlu::CLASS,
        Matvec::CLASS,
        Matmul::CLASS,
        Attention::CLASS,
        AttentionSubgroup::CLASS,
    ];
    let mut at = 0;
    while at < classes.len() {
        assert!(matches!(classes[at], NumericClass::Exact));
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::traits::{Storage, Subgroups};

    fn gpu() -> Traits {
        Traits { subgroups: Some(Subgroups { min: 32, max: 32 }), ..Traits::default() }
    }

    fn processors(subgroup: u32) -> Traits {
        Traits {
            weights: Storage::Texture,
            dear_workgroup_memory: true,
            max_loops: Some(60_000),
            workgroups: Some(8),
            subgroups: Some(Subgroups { min: subgroup, max: subgroup }),
            ..Traits::default()
        }
    }

    const TILE: Tile = Tile { rows: 4, heads: 3 };

    fn heads(n_rows: u32, longest: u32, decoding: bool) -> Heads {
        Heads { head_dim: 64, tile: TILE, n_rows, longest, decoding }
    }

    #[test]
    fn products_by_the_rows_that_live() {
        let gpu = Recipe::new(&gpu(), 32);
        let columns = |columns| Product::Vectors { columns };
        assert_eq!([1, 2, 3, 16].map(|rows| gpu.product(18, rows)), [columns(1), columns(2), columns(4), columns(8)]);
        assert_eq!(gpu.product(18, 17), Product::Tiles);
        assert_eq!([1, 3, 17, 32].map(|living| gpu.rows(living)), [1, 4, 32, 32]);
        assert_eq!(Recipe::new(&Traits::default(), 24).rows(17), 24, "not beyond the room");
        let serial = |traits: &Traits, lanes, blocks, rows| match Recipe::new(traits, lanes).product(blocks, rows) {
            Product::Serial { columns } => columns,
            other => panic!("{other:?}"),
        };
        let slow = processors(8);
        assert_eq!([1, 5, 40].map(|rows| serial(&slow, 32, 18, rows)), [1, 8, 32]);
        assert_eq!(serial(&slow, 1, 18, 40), 16, "the widest text is not for a single prompt");
        assert_eq!(serial(&slow, 32, 4000, 32), 8, "loops that would be ended");
        assert_eq!(serial(&Traits { max_loops: None, ..slow }, 32, 4000, 32), 32);
    }

    #[test]
    fn attention_by_who_stands_together() {
        let gpu = Recipe::new(&gpu(), 32);
        let tile = |rows| Attending::Tiles(Tile { rows, ..TILE });
        assert_eq!([1, 2, 200].map(|rows| gpu.attention(heads(rows, 900, false))), [tile(1), tile(2), tile(4)]);
        assert_eq!(gpu.attention(heads(32, 900, true)), tile(1), "no key is shared between sequences");
        let slow = Recipe::new(&processors(8), 32);
        assert_eq!(slow.attention(heads(32, 256, true)), Attending::Subgroup { joined: true });
        assert_eq!(slow.attention(heads(32, 257, true)), Attending::Subgroup { joined: false });
        let odd = Heads { head_dim: 6, ..heads(1, 10, true) };
        assert_eq!(slow.attention(odd), Attending::Subgroup { joined: false });
        // Subgroups of another size than the kernels are written for.
        assert_eq!(Recipe::new(&processors(4), 32).attention(heads(32, 256, true)), tile(1));
    }

    #[test]
    fn rows_are_shared_where_there_are_workgroups_to_spare() {
        assert_eq!([1, 64, 65, 1280].map(|pieces| Recipe::new(&gpu(), 1).share(pieces)), [1, 1, 2, 20]);
        assert_eq!(Recipe::new(&processors(8), 1).share(1280), 1);
    }

    #[test]
    fn subgroups_only_where_they_pay() {
        let recipe = |traits: &Traits| Recipe::new(traits, 1);
        for (traits, pays) in
            [(gpu(), false), (processors(8), true), (processors(4), false), (Traits::default(), false)]
        {
            let recipe = recipe(&traits);
            assert_eq!((recipe.by_subgroup(), recipe.glu(), recipe.draws_by_subgroup(5000)), (pays, pays, pays));
            assert_eq!(recipe.gathers(), traits.weights == Storage::Texture);
        }
        assert!(!recipe(&processors(8)).draws_by_subgroup(128_256), "loops that would be ended");
    }

    #[test]
    fn the_number_of_rows_changes_no_order_of_sums() {
        for traits in [gpu(), processors(8), processors(4), Traits::default()] {
            let recipe = Recipe::new(&traits, 256);
            // Products of one storage give the same bits (tests of `matvec`), attention in tiles of any size too.
            let kind =
                |rows: u32, decoding| match (recipe.product(18, rows), recipe.attention(heads(rows, 300, decoding))) {
                    (product, Attending::Subgroup { .. }) => (matches!(product, Product::Serial { .. }), true),
                    (product, Attending::Tiles(_)) => (matches!(product, Product::Serial { .. }), false),
                };
            for rows in 1..300 {
                assert_eq!(kind(rows, false), kind(1, true));
            }
        }
    }
}
