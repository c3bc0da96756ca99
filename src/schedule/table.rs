//! The pages of a lane, class by class.

use super::pool::Pool;
use super::shape::{PAGE, pool_of};

/// Pages of each class, each held once.
#[derive(Debug, Clone)]
pub(super) struct Table {
    classes: Vec<Vec<u32>>,
}

impl Table {
    pub fn new(classes: u32) -> Self {
        Self { classes: vec![Vec::new(); classes as usize] }
    }

    pub fn page(&self, class: u32, index: u32) -> Option<u32> {
        self.classes[class as usize].get(index as usize).copied()
    }

    /// Pages that are missing for so many entries.
    pub fn lacks(&self, class: u32, entries: u32) -> u32 {
        entries.div_ceil(PAGE).saturating_sub(self.classes[class as usize].len() as u32)
    }

    /// Index of the next page.
    pub fn next(&self, class: u32) -> u32 {
        self.classes[class as usize].len() as u32
    }

    /// Adds a page that is held for this table; its index.
    pub fn push(&mut self, class: u32, page: u32) -> u32 {
        let index = self.next(class);
        self.classes[class as usize].push(page);
        index
    }

    /// Gives all pages back.
    pub fn release(self, pools: &mut [Pool; 2]) {
        for (class, pages) in (0..).zip(self.classes) {
            for page in pages {
                pools[pool_of(class)].release(page);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_grows_by_whole_pages_and_gives_them_back() {
        let mut pools = [Pool::new(2), Pool::new(2)];
        let mut table = Table::new(3);
        assert_eq!([table.lacks(2, 0), table.lacks(2, 32), table.lacks(2, 33)], [0, 1, 2]);
        let page = pools[1].take().unwrap();
        assert_eq!(table.push(2, page), 0);
        assert_eq!([table.lacks(2, 32), table.lacks(2, 33)], [0, 1]);
        assert_eq!((table.page(2, 0), table.page(2, 1)), (Some(page), None));
        table.release(&mut pools);
        assert_eq!(pools[1].free(), 2);
    }
}
