//! Queues of tenants that take turns.
//!
//! One queue for all tenants would make each of them wait for the longest backlog. Here every
//! tenant has a queue of its own, and what is taken goes round: a few items of one tenant, then a
//! few of the next. Within a tenant, items keep their order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Items of one tenant that are taken before the next tenant has its turn. Few enough that the
/// turns are short, and enough that a batch has long runs of one tenant.
const RUN: usize = 32;

/// Decides how many entries of a tenant may be read now.
pub trait Share: Send + Sync {
    /// How many more places entries of this tenant may take.
    fn left(&self, tenant: &str) -> usize;

    /// How many places an entry of this weight takes. A large one takes as much memory as many
    /// small ones.
    fn places(&self, weight: usize) -> usize {
        let _ = weight;
        1
    }
}

/// No limit for any tenant.
pub struct Unlimited;

impl Share for Unlimited {
    fn left(&self, _: &str) -> usize {
        usize::MAX
    }
}

/// Items with a weight, by tenant.
pub struct Turns<T> {
    queues: HashMap<Arc<str>, Queue<T>>,
    /// Each tenant with items once, in the order of their turns.
    order: VecDeque<Arc<str>>,
    count: usize,
    weight: usize,
}

struct Queue<T> {
    items: VecDeque<(usize, T)>,
    weight: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { queues: HashMap::new(), order: VecDeque::new(), count: 0, weight: 0 }
    }
}

impl<T> Turns<T> {
    /// Adds an item at the end of its tenant's queue.
    pub fn push(&mut self, tenant: &Arc<str>, weight: usize, item: T) {
        if !self.queues.contains_key(tenant) {
            let queue = Queue { items: VecDeque::new(), weight: 0 };
            self.queues.insert(Arc::clone(tenant), queue);
            self.order.push_back(Arc::clone(tenant));
        }
        let queue = self.queues.get_mut(tenant).expect("it was just added");
        queue.items.push_back((weight, item));
        queue.weight += weight;
        self.count += 1;
        self.weight += weight;
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The weight of all items.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// How many tenants have items.
    pub fn tenants(&self) -> usize {
        self.order.len()
    }

    /// How many items a tenant has.
    pub fn count_of(&self, tenant: &str) -> usize {
        self.queues.get(tenant).map_or(0, |queue| queue.items.len())
    }

    /// Takes items in turn that need up to `max` places together, and of no tenant more than its
    /// share. An item that needs more places than that is taken alone.
    pub fn take(&mut self, max: usize, share: &dyn Share) -> Vec<T> {
        let mut taken = Vec::with_capacity(max.min(self.count));
        let mut left: HashMap<Arc<str>, usize> = HashMap::new();
        let (mut places, mut without) = (0, 0);
        while places < max && without < self.order.len() {
            let Some(tenant) = self.order.pop_front() else { break };
            let Some(queue) = self.queues.get_mut(&tenant) else { continue };
            let more = left.entry(Arc::clone(&tenant)).or_insert_with(|| share.left(&tenant));
            let mut run = 0;
            while run < RUN
                && let Some((weight, _)) = queue.items.front()
            {
                let needed = share.places(*weight);
                let fits = needed <= *more && places + needed <= max;
                let is_alone = taken.is_empty() && *more > 0 && max > 0;
                if !fits && !is_alone {
                    break;
                }
                let Some((weight, item)) = queue.items.pop_front() else { break };
                queue.weight -= weight;
                self.weight -= weight;
                *more = more.saturating_sub(needed);
                places = places.saturating_add(needed);
                run += 1;
                taken.push(item);
            }
            without = if run == 0 { without + 1 } else { 0 };
            self.count -= run;
            if queue.items.is_empty() {
                self.queues.remove(&tenant);
            } else {
                self.order.push_back(tenant);
            }
        }
        taken
    }

    /// Takes the next item in turn whose weight `fits`. A tenant that is passed over keeps its turn.
    pub fn next(&mut self, mut fits: impl FnMut(usize) -> bool) -> Option<T> {
        let queues = &self.queues;
        let first = |tenant: &Arc<str>| queues.get(tenant).and_then(|queue| queue.items.front());
        let mut turns = self.order.iter();
        let place = turns.position(|tenant| first(tenant).is_some_and(|(more, _)| fits(*more)))?;
        let tenant = self.order.remove(place)?;
        let queue = self.queues.get_mut(&tenant)?;
        let (weight, item) = queue.items.pop_front()?;
        queue.weight -= weight;
        self.weight -= weight;
        self.count -= 1;
        if queue.items.is_empty() {
            self.queues.remove(&tenant);
        } else {
            self.order.push_back(tenant);
        }
        Some(item)
    }

    /// Removes and returns the later half of the heaviest queue, with its tenant. None if that
    /// queue has a single item or weighs no more than `light`.
    pub fn halve_heaviest(&mut self, light: usize) -> Option<(Arc<str>, Vec<T>)> {
        let (tenant, queue) = self.queues.iter_mut().max_by_key(|(_, queue)| queue.weight)?;
        if queue.items.len() < 2 || queue.weight <= light {
            return None;
        }
        let tenant = Arc::clone(tenant);
        let later = queue.items.split_off(queue.items.len() / 2);
        let weight: usize = later.iter().map(|(weight, _)| weight).sum();
        queue.weight -= weight;
        self.weight -= weight;
        self.count -= later.len();
        Some((tenant, later.into_iter().map(|(_, item)| item).collect()))
    }

    /// Keeps the items that are wanted.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&T) -> bool) {
        let (mut count, mut total) = (0, 0);
        self.queues.retain(|_, queue| {
            queue.items.retain(|(_, item)| is_wanted(item));
            queue.weight = queue.items.iter().map(|(weight, _)| weight).sum();
            count += queue.items.len();
            total += queue.weight;
            !queue.items.is_empty()
        });
        (self.count, self.weight) = (count, total);
        self.order.retain(|tenant| self.queues.contains_key(tenant));
    }

    /// The first item of each tenant.
    pub fn firsts(&self) -> impl Iterator<Item = &T> {
        self.queues.values().filter_map(|queue| queue.items.front().map(|(_, item)| item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(tenants: &[(&str, usize)]) -> Turns<(String, usize)> {
        let mut turns = Turns::default();
        for (tenant, count) in tenants {
            for n in 0..*count {
                turns.push(&(*tenant).into(), 1, ((*tenant).to_owned(), n));
            }
        }
        turns
    }

    #[test]
    fn a_backlog_of_one_tenant_does_not_hide_another() {
        let mut turns = turns(&[("flood", 10_000), ("quiet", 2), ("other", 40)]);
        let taken = turns.take(100, &Unlimited);
        let of = |name: &str| taken.iter().filter(|(tenant, _)| tenant == name).count();
        assert_eq!((of("quiet"), of("other"), of("flood")), (2, 34, 64));
        assert_eq!(turns.len(), 9_942);
        assert_eq!(turns.weight(), 9_942);
    }

    #[test]
    fn every_item_is_taken_once_and_in_the_order_of_its_tenant() {
        let mut turns = turns(&[("a", 500), ("b", 1), ("c", 70)]);
        let mut next: HashMap<String, usize> = HashMap::new();
        while !turns.is_empty() {
            for (tenant, n) in turns.take(33, &Unlimited) {
                let next = next.entry(tenant).or_default();
                assert_eq!(n, *next);
                *next += 1;
            }
        }
        assert_eq!(next.values().sum::<usize>(), 571);
        assert!(turns.order.is_empty() && turns.queues.is_empty());
    }

    #[test]
    fn no_tenant_gets_more_than_its_share() {
        struct Ten;
        impl Share for Ten {
            fn left(&self, tenant: &str) -> usize {
                if tenant == "held" { 0 } else { 10 }
            }
        }
        let mut turns = turns(&[("held", 100), ("a", 100), ("b", 5)]);
        assert_eq!(turns.take(1_000, &Ten).len(), 15);
        assert_eq!((turns.count_of("held"), turns.count_of("a")), (100, 90));
        assert_eq!(turns.tenants(), 2);
    }

    #[test]
    fn the_heaviest_queue_gives_up_its_end() {
        let mut turns = turns(&[("flood", 100), ("quiet", 3)]);
        let (tenant, later) = turns.halve_heaviest(10).unwrap();
        assert_eq!((&*tenant, later.len(), later[0].1), ("flood", 50, 50));
        assert_eq!((turns.len(), turns.weight()), (53, 53));
        assert!(turns.halve_heaviest(50).is_none(), "no heavier than that");
    }

    #[test]
    fn small_items_pass_large_ones_that_do_not_fit() {
        let mut turns = Turns::default();
        for (tenant, weight) in [("a", 900), ("b", 900), ("c", 1), ("a", 1)] {
            turns.push(&tenant.into(), weight, (tenant, weight));
        }
        let mut room = 1_000;
        let mut taken = Vec::new();
        while let Some(item) = turns.next(|weight| weight <= room) {
            room -= item.1;
            taken.push(item);
        }
        assert_eq!(taken, [("a", 900), ("c", 1), ("a", 1)]);
        assert_eq!((turns.len(), turns.weight()), (1, 900));
    }

    #[test]
    fn what_is_not_wanted_is_removed() {
        let mut turns = turns(&[("a", 10), ("b", 1)]);
        turns.retain(|(tenant, n)| tenant == "a" && n % 2 == 0);
        assert_eq!((turns.len(), turns.weight(), turns.tenants()), (5, 5, 1));
        let firsts: Vec<_> = turns.firsts().map(|(_, n)| *n).collect();
        assert_eq!(firsts, [0]);
    }
}
