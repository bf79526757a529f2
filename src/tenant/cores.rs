//! Runs work on many documents on all cores, so that the server starts faster.

use std::num::NonZero;
use std::thread::{ScopedJoinHandle, available_parallelism, scope};

/// Fewest items for which another thread is worth its cost.
const MIN_ITEMS_PER_THREAD: usize = 50;

/// Applies `work` to each item. Results are in the order of the items.
pub(crate) fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(cores).max(MIN_ITEMS_PER_THREAD);
    if items.len() <= share {
        return items.iter().map(work).collect();
    }
    let work = &work;
    let part = |part: &[T]| part.iter().map(work).collect::<Vec<R>>();
    let part = &part;
    scope(|scope| {
        let started: Vec<_> =
            items.chunks(share).map(|items| scope.spawn(move || part(items))).collect();
        let ended = |part: ScopedJoinHandle<'_, Vec<R>>| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        started.into_iter().flat_map(ended).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for count in [0, 1, 49, 50, 51, 1_000] {
            let items: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = items.iter().map(|n| n * 2).collect();
            assert_eq!(on_all_cores(&items, |n| n * 2), doubled);
        }
    }
}
