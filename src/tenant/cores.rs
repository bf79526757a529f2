//! Work on many documents, on every core: a start waits for it.

use std::num::NonZero;
use std::thread::{ScopedJoinHandle, available_parallelism, scope};

/// Fewer are not worth a thread.
const WORTH_A_THREAD: usize = 50;

/// What `work` makes of each, in the same order.
pub(crate) fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(cores).max(WORTH_A_THREAD);
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
    fn answers_come_in_the_order_of_the_questions() {
        for count in [0, 1, 49, 50, 51, 1_000] {
            let items: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = items.iter().map(|n| n * 2).collect();
            assert_eq!(on_all_cores(&items, |n| n * 2), doubled);
        }
    }
}
