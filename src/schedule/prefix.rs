//! Pages kept for prompts that begin like an earlier one.
//!
//! A node stands for a block of [`PAGE`] tokens behind those of its parent. It refers to the pages that the entries of
//! its tokens touch. Where tokens leave early a page holds entries of several blocks; two sequences may then have
//! registered neighbouring blocks in different pages. **Invariant:** a page of a node holds the entries of all blocks
//! up to this one that belong into it, because its owner had read all of them; so the deepest node decides.

use std::collections::{BTreeSet, HashMap};

use super::pool::Pool;
use super::shape::{PAGE, pool_of};

/// The parent of first blocks.
pub(super) const ROOT: u64 = 0;

/// What decides on keys and values beside the tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// [`Scheduler::policy`](super::scheduler::Scheduler::policy) under which they were computed.
    pub policy: u64,
    /// [`Submission::key`](super::Submission::key).
    pub request: u64,
}

/// Where a block is looked for. The tokens themselves are compared: no clash of hashes can give a wrong hit, and a
/// block is found below its own parent only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Address {
    parent: u64,
    key: Key,
    tokens: [u32; PAGE as usize],
}

/// What is known of a block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Class, index in the table, and page, of each page that its entries touch.
    pub pages: Vec<(u32, u32, u32)>,
    /// Entries of each class up to its end.
    pub lengths: Vec<u32>,
    /// Depths of its tokens.
    pub depths: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Node {
    address: Address,
    block: Block,
    children: u32,
    used: u64,
}

/// What is cached of a prompt.
#[derive(Debug, Clone, Default)]
pub(super) struct Hit {
    /// The last node, or [`ROOT`].
    pub node: u64,
    /// Blocks.
    pub blocks: u32,
    /// Pages of each class.
    pub pages: Vec<Vec<u32>>,
    /// Entries of each class.
    pub lengths: Vec<u32>,
    /// Depths of all tokens.
    pub depths: Vec<u8>,
}

/// All nodes. Those without children are given up in the order of their last use.
#[derive(Debug, Clone, Default)]
pub(super) struct Prefixes {
    nodes: HashMap<u64, Node>,
    places: HashMap<Address, u64>,
    leaves: BTreeSet<(u64, u64)>,
    clock: u64,
    named: u64,
}

impl Prefixes {
    pub fn contains(&self, node: u64) -> bool {
        node == ROOT || self.nodes.contains_key(&node)
    }

    /// The node of a block below `parent`, now the last used.
    pub fn find(&mut self, parent: u64, key: Key, tokens: &[u32]) -> Option<u64> {
        let tokens = tokens.try_into().ok()?;
        let id = *self.places.get(&Address { parent, key, tokens })?;
        let node = self.nodes.get_mut(&id)?;
        self.clock += 1;
        let before = std::mem::replace(&mut node.used, self.clock);
        if node.children == 0 {
            self.leaves.remove(&(before, id));
            self.leaves.insert((self.clock, id));
        }
        Some(id)
    }

    /// The longest chain of blocks that the tokens begin with.
    pub fn longest(&mut self, tokens: &[u32], key: Key, classes: u32) -> Hit {
        let none = classes as usize;
        let mut hit = Hit { pages: vec![Vec::new(); none], lengths: vec![0; none], ..Hit::default() };
        for tokens in tokens.chunks_exact(PAGE as usize) {
            let Some(id) = self.find(hit.node, key, tokens) else { break };
            let Some(node) = self.nodes.get(&id) else { break };
            for &(class, index, page) in &node.block.pages {
                let pages = &mut hit.pages[class as usize];
                pages.truncate(index as usize);
                pages.push(page);
            }
            hit.lengths.clone_from(&node.block.lengths);
            hit.depths.extend(&node.block.depths);
            hit.node = id;
            hit.blocks += 1;
        }
        hit
    }

    /// Registers a block that [`Self::find`] did not find; its pages are held by a lane. The new node.
    pub fn insert(&mut self, parent: u64, key: Key, tokens: &[u32], block: Block, pools: &mut [Pool; 2]) -> u64 {
        let Ok(tokens) = tokens.try_into() else { return parent };
        for &(class, _, page) in &block.pages {
            pools[pool_of(class)].keep(page);
        }
        if let Some(above) = self.nodes.get_mut(&parent) {
            above.children += 1;
            self.leaves.remove(&(above.used, parent));
        }
        self.clock += 1;
        self.named += 1;
        let address = Address { parent, key, tokens };
        self.places.insert(address.clone(), self.named);
        self.leaves.insert((self.clock, self.named));
        self.nodes.insert(self.named, Node { address, block, children: 0, used: self.clock });
        self.named
    }

    /// Gives up the leaf that was used longest ago: one that frees a page of the pool, where there is one. Otherwise
    /// any, since its ancestors may. False when nothing is left.
    pub fn evict(&mut self, pool: usize, pools: &mut [Pool; 2]) -> bool {
        let frees = |id: &u64| {
            let pages = self.nodes.get(id).map(|node| node.block.pages.as_slice()).unwrap_or_default();
            pages.iter().any(|&(class, _, page)| pool_of(class) == pool && pools[pool].is_last(page))
        };
        let useful = self.leaves.iter().find(|(_, id)| frees(id));
        let Some(&leaf) = useful.or(self.leaves.first()) else { return false };
        self.leaves.remove(&leaf);
        let Some(node) = self.nodes.remove(&leaf.1) else { return false };
        self.places.remove(&node.address);
        for (class, _, page) in node.block.pages {
            pools[pool_of(class)].forget(page);
        }
        let parent = node.address.parent;
        if let Some(above) = self.nodes.get_mut(&parent) {
            above.children -= 1;
            if above.children == 0 {
                self.leaves.insert((above.used, parent));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a request, under the first policy.
    fn key(request: u64) -> Key {
        Key { policy: 0, request }
    }

    fn block(page: u32) -> Block {
        Block { pages: vec![(0, 0, page)], lengths: vec![32], depths: vec![1; 32] }
    }

    #[test]
    fn equal_tokens_below_an_equal_parent_are_found() {
        let mut pools = [Pool::new(4), Pool::new(0)];
        let pages: Vec<u32> = std::iter::from_fn(|| pools[0].take()).collect();
        let mut prefixes = Prefixes::default();
        let tokens: Vec<u32> = (0..64).collect();
        let first = prefixes.insert(ROOT, key(5), &tokens[..32], block(pages[0]), &mut pools);
        let second = Block { pages: vec![(0, 1, pages[1])], lengths: vec![64], depths: vec![2; 32] };
        let second = prefixes.insert(first, key(5), &tokens[32..], second, &mut pools);
        let hit = prefixes.longest(&tokens, key(5), 1);
        assert_eq!((hit.node, hit.blocks, hit.lengths.as_slice()), (second, 2, &[64][..]));
        assert_eq!(hit.pages, [[pages[0], pages[1]]]);
        assert_eq!((hit.depths[31], hit.depths[32]), (1, 2));
        assert_eq!(prefixes.longest(&tokens, key(6), 1).blocks, 0, "another key");
        assert_eq!(prefixes.longest(&tokens, Key { policy: 1, ..key(5) }, 1).blocks, 0, "another policy");
        assert_eq!(prefixes.longest(&tokens[32..], key(5), 1).blocks, 0, "another parent");
        assert_eq!(prefixes.longest(&tokens[..63], key(5), 1).blocks, 1);
    }

    #[test]
    fn the_deepest_node_decides_on_a_page() {
        let mut pools = [Pool::new(4), Pool::new(4)];
        let pages: Vec<u32> = std::iter::from_fn(|| pools[1].take()).collect();
        let mut prefixes = Prefixes::default();
        let part = |page, length| Block { pages: vec![(1, 0, page)], lengths: vec![0, length], depths: vec![1; 32] };
        let first = prefixes.insert(ROOT, key(0), &[1; 32], part(pages[0], 10), &mut pools);
        prefixes.insert(first, key(0), &[2; 32], part(pages[1], 20), &mut pools);
        let tokens: Vec<u32> = [[1; 32], [2; 32]].concat();
        assert_eq!(prefixes.longest(&tokens, key(0), 2).pages[1], [pages[1]]);
        assert_eq!(prefixes.longest(&tokens[..32], key(0), 2).pages[1], [pages[0]]);
    }

    #[test]
    fn the_leaf_used_longest_ago_goes_first() {
        let mut pools = [Pool::new(3), Pool::new(0)];
        let pages: Vec<u32> = std::iter::from_fn(|| pools[0].take()).collect();
        let mut prefixes = Prefixes::default();
        let first = prefixes.insert(ROOT, key(0), &[1; 32], block(pages[0]), &mut pools);
        prefixes.insert(first, key(0), &[2; 32], block(pages[1]), &mut pools);
        prefixes.insert(ROOT, key(0), &[3; 32], block(pages[2]), &mut pools);
        pages.iter().for_each(|&page| pools[0].release(page));
        prefixes.longest(&[3; 32], key(0), 1);
        prefixes.longest(&[1; 32], key(0), 1);
        assert_eq!(pools[0].spare(), 3);
        let mut left = || {
            assert!(prefixes.evict(0, &mut pools));
            let mut has = |parent, token| prefixes.find(parent, key(0), &[token; 32]).is_some();
            [has(first, 2), has(ROOT, 3), has(ROOT, 1)]
        };
        assert_eq!(left(), [false, true, true], "below the first block");
        assert_eq!(left(), [false, false, true]);
        assert_eq!(left(), [false, false, false]);
        assert!(!prefixes.evict(0, &mut pools));
        assert_eq!((pools[0].free(), pools[0].spare()), (3, 0));
        assert!(prefixes.nodes.is_empty() && prefixes.places.is_empty() && prefixes.leaves.is_empty());
    }
}
