//! Pages of one pool, with what refers to them.

/// Pages are free, held by lanes, or kept by nodes of the prefix cache alone.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    free: Vec<u32>,
    /// References of lanes, and of copies under way.
    held: Vec<u32>,
    /// References of nodes.
    kept: Vec<u32>,
    /// Pages that only nodes refer to.
    spare: u32,
}

impl Pool {
    pub fn new(pages: u32) -> Self {
        let none = vec![0; pages as usize];
        Self { free: (0..pages).rev().collect(), held: none.clone(), kept: none, spare: 0 }
    }

    /// Free pages.
    pub fn free(&self) -> u32 {
        self.free.len() as u32
    }

    /// Pages that only nodes refer to.
    pub fn spare(&self) -> u32 {
        self.spare
    }

    /// Pages that lanes refer to.
    pub fn used(&self) -> u32 {
        self.held.len() as u32 - self.free() - self.spare
    }

    /// A free page, held once.
    pub fn take(&mut self) -> Option<u32> {
        let page = self.free.pop()?;
        self.held[page as usize] = 1;
        Some(page)
    }

    /// One more lane refers to a page that is not free.
    pub fn hold(&mut self, page: u32) {
        let held = &mut self.held[page as usize];
        *held += 1;
        if *held == 1 {
            self.spare -= 1;
        }
    }

    /// One lane less.
    pub fn release(&mut self, page: u32) {
        let held = &mut self.held[page as usize];
        *held -= 1;
        if *held == 0 {
            if self.kept[page as usize] == 0 { self.free.push(page) } else { self.spare += 1 }
        }
    }

    /// One more node refers to a page that a lane holds.
    pub fn keep(&mut self, page: u32) {
        self.kept[page as usize] += 1;
    }

    /// One node less.
    pub fn forget(&mut self, page: u32) {
        let kept = &mut self.kept[page as usize];
        *kept -= 1;
        if *kept == 0 && self.held[page as usize] == 0 {
            self.spare -= 1;
            self.free.push(page);
        }
    }

    /// Whether the page becomes free when one node less refers to it.
    pub fn is_last(&self, page: u32) -> bool {
        self.held[page as usize] == 0 && self.kept[page as usize] == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_free_when_nothing_refers_to_it() {
        let mut pool = Pool::new(2);
        let page = pool.take().unwrap();
        pool.hold(page);
        pool.keep(page);
        pool.release(page);
        assert_eq!((pool.free(), pool.used(), pool.spare()), (1, 1, 0));
        pool.release(page);
        assert_eq!((pool.free(), pool.used(), pool.spare()), (1, 0, 1));
        assert!(pool.is_last(page));
        pool.hold(page);
        assert_eq!((pool.free(), pool.used(), pool.spare()), (1, 1, 0));
        pool.forget(page);
        pool.release(page);
        assert_eq!((pool.free(), pool.used(), pool.spare()), (2, 0, 0));
    }

    #[test]
    fn an_empty_pool_gives_nothing() {
        let mut pool = Pool::new(1);
        assert!(pool.take().is_some());
        assert!(pool.take().is_none());
    }
}
