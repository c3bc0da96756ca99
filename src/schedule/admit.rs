//! New sequences for free lanes.

use super::lane::{Blocks, Running};
use super::next::Claim;
use super::plan::{Begin, PageCopy, TableWrite, TickPlan};
use super::prefix::{Hit, Key};
use super::queue::Sequence;
use super::scheduler::Scheduler;
use super::shape::{PAGE, pool_of};

impl Scheduler {
    /// Fills free lanes. The first who does not fit lets nobody pass, or a long prompt would never get its pages.
    pub(super) fn admit(&mut self, budget: &mut u32, plan: &mut TickPlan) {
        while let Some(lane) = self.lanes.iter().position(Option::is_none) {
            let Some(hit) = self.fitting_hit() else { return };
            let Some(sequence) = self.queue.pop() else { return };
            self.begin(lane as u32, sequence, hit, plan);
            // Nobody is preempted for a newcomer.
            self.advance(lane as u32, budget, Claim::Cached, plan);
        }
    }

    /// What is cached of the first sequence that waits, if its pages can be had.
    fn fitting_hit(&mut self) -> Option<Hit> {
        let Self { shape, prefixes, queue, lanes, policy, defers, .. } = self;
        let first = queue.first()?;
        let tokens = &first.tokens;
        let usable = match shape.prefix_cache && first.submission.together == 0 {
            // The last token must be computed, for what it predicts.
            true => &tokens[..(first.reads(*defers) - 1).min(first.submission.shared) as usize],
            false => &[],
        };
        let hit = prefixes.longest(usable, Key { policy: *policy, request: first.submission.key }, shape.classes);
        let soon = (tokens.len() as u32 + shape.span).min(first.longest(shape.context) - 1);
        let needed = shape.pages_for(soon, shape.limit(first.submission.depth));
        let mut others = [0; 2];
        for running in lanes.iter().flatten() {
            let wanted = running.outlook(shape);
            (0..2).for_each(|pool| others[pool] += wanted[pool]);
        }
        if self.fits(&hit, needed, others) {
            return Some(hit);
        }
        // A page that is copied is needed twice for a tick. Alone and without any copy a sequence always fits.
        let none = self.prefixes.longest(&[], Key::default(), self.shape.classes);
        (self.lanes.iter().all(Option::is_none) && self.fits(&none, needed, others)).then_some(none)
    }

    /// Whether there are pages for a newcomer beside what the others will want soon. Without the latter it would be
    /// preempted again at once.
    fn fits(&mut self, hit: &Hit, needed: [u32; 2], others: [u32; 2]) -> bool {
        let mut needed = [needed[0] + others[0], needed[1] + others[1]];
        for (class, (pages, length)) in (0..).zip(hit.pages.iter().zip(&hit.lengths)) {
            needed[pool_of(class)] -= length / PAGE;
            for &page in pages {
                self.pools[pool_of(class)].hold(page);
            }
        }
        let fits = (0..2).all(|pool| self.pools[pool].free() + self.pools[pool].spare() >= needed[pool]);
        for (class, pages) in (0..).zip(&hit.pages) {
            pages.iter().for_each(|&page| self.pools[pool_of(class)].release(page));
        }
        fits
    }

    /// Puts a sequence into a lane, with the pages that are cached of it.
    fn begin(&mut self, lane: u32, sequence: Sequence, hit: Hit, plan: &mut TickPlan) {
        // Held before anything is evicted for the copies.
        for (class, pages) in (0..).zip(&hit.pages) {
            pages.iter().for_each(|&page| self.pools[pool_of(class)].hold(page));
        }
        let mut running = Running::new(sequence, self.serial, self.policy, &self.shape, self.defers);
        self.serial = self.serial.wrapping_add(1);
        for (class, (pages, length)) in (0..).zip(hit.pages.iter().zip(&hit.lengths)) {
            for &page in pages {
                let full = (running.table.next(class) + 1) * PAGE <= *length;
                let page = if full { page } else { self.copy(pool_of(class), page, plan) };
                let index = running.table.push(class, page);
                plan.pages.push(TableWrite { lane, class, index, page });
            }
        }
        let cached = hit.depths.len();
        running.planned = cached as u32;
        running.blocks = Blocks { node: hit.node, count: hit.blocks, lengths: hit.lengths.clone() };
        running.lengths.clone_from(&hit.lengths);
        running.depths.clone_from(&hit.depths);
        self.counts.prefix_hit_tokens += cached as u64;
        plan.begins.push(Begin {
            lane,
            sequence: running.sequence.submission.id,
            serial: running.serial,
            tokens: running.sequence.tokens[..cached].to_vec(),
            depths: hit.depths,
            lengths: hit.lengths,
            reads: running.reads,
            written: running.sequence.written(),
            enters: running.enters.then(|| running.sequence.tokens[running.reads as usize]),
            remaining: running.remaining() - u32::from(running.enters),
        });
        self.lanes[lane as usize] = Some(running);
    }

    /// A copy of a page that its reader will write behind what it shares. The source stays held for this tick.
    fn copy(&mut self, pool: usize, from: u32, plan: &mut TickPlan) -> u32 {
        let mut needed = [0; 2];
        needed[pool] = 1;
        self.evict(needed);
        // Never without a page: `fits` counted this one.
        let Some(to) = self.pools[pool].take() else { return from };
        plan.copies.push(PageCopy { pool: pool as u32, from, to });
        self.sources.push((pool, from));
        self.counts.copied_pages += 1;
        to
    }
}
