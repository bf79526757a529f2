//! Writes a batch. If the store refuses it, each item is tried alone, and set aside if it is still
//! refused.

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use crate::flow::REFUSED_TRIES;
use fanfare_store::{Change, DeliveryUpdate, Result, StoreError};

/// A kind of batch that the store may refuse because of one item in it.
pub trait BatchWrite: Sync {
    /// One part of the batch.
    type Item: Send + Sync;
    /// What the store answers to a batch.
    type Answer: Send;

    /// Writes `items` in one call. Repeating the call with the same items must be safe.
    fn write<'a>(&'a self, items: &'a [Self::Item]) -> BoxFuture<'a, Result<Self::Answer>>;

    /// Sets a refused item aside: reduces it to what the store is likely to accept, which is then
    /// written. False if it cannot be reduced.
    fn set_aside(&self, item: &mut Self::Item) -> bool;

    /// Logs that the store refuses `item`, and whether it was set aside instead.
    fn log_refused(&self, item: &Self::Item, error: &StoreError, is_set_aside: bool);
}

/// What the store did with a batch.
pub enum Written<A> {
    /// It accepted the batch.
    Whole(A),
    /// It refused the batch. For each item, in order, the answer to the item or to what was set
    /// aside in its place, or why it refuses both.
    Each(Vec<Result<A>>),
}

/// Writes `items`. Waits for as long as it takes while the error says something about the store: it
/// is away, full, read-only, damaged, or refuses access.
///
/// If the store refuses the data, each item is tried alone, `flow::REFUSED_TRIES` times.
/// An item that is still refused is set aside ([`BatchWrite::set_aside`]), with a line in the log.
pub async fn write_batch<W: BatchWrite>(to: &W, items: &mut [W::Item]) -> Written<W::Answer> {
    let never = CancellationToken::new();
    write_batch_until(to, items, &never).await.expect("nothing cancels this token")
}

/// Like [`write_batch`], but gives up when `stop` is cancelled: `None`.
pub async fn write_batch_until<W: BatchWrite>(
    to: &W,
    items: &mut [W::Item],
    stop: &CancellationToken,
) -> Option<Written<W::Answer>> {
    match write(to, items, stop).await? {
        Ok(answer) => return Some(Written::Whole(answer)),
        Err(error) => tracing::warn!(%error, "the store refuses a batch; trying each item alone"),
    }
    let mut answers = Vec::with_capacity(items.len());
    for item in items {
        answers.push(write_alone(to, item, stop).await?);
    }
    Some(Written::Each(answers))
}

/// Tries for as long as the store is away. An error is its last word.
async fn write<W: BatchWrite>(
    to: &W,
    items: &[W::Item],
    stop: &CancellationToken,
) -> Option<Result<W::Answer>> {
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        match to.write(items).await {
            Err(error) if !error.is_about_data() => backoff.wait("the ledger", &error, stop).await,
            result => return Some(result),
        }
    }
    None
}

async fn write_alone<W: BatchWrite>(
    to: &W,
    item: &mut W::Item,
    stop: &CancellationToken,
) -> Option<Result<W::Answer>> {
    let mut backoff = Backoff::default();
    let mut tries = 1;
    let refusal = loop {
        match write(to, std::slice::from_ref(item), stop).await? {
            Ok(answer) => return Some(Ok(answer)),
            Err(error) if tries == REFUSED_TRIES => break error,
            Err(_) => tries += 1,
        }
        backoff.pause(stop).await;
    };
    let aside = if to.set_aside(item) {
        write(to, std::slice::from_ref(item), stop).await?.ok()
    } else {
        None
    };
    to.log_refused(item, &refusal, aside.is_some());
    Some(aside.ok_or(refusal))
}

/// Reduces a refused outcome to a dead delivery, without the attempts and the receiver's answers,
/// which may be what the store refuses. It can be replayed.
pub fn kill_refused(update: &mut DeliveryUpdate) {
    update.change = Change::SetAside;
    update.attempts.clear();
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// A store that refuses negative numbers and is away for its first calls.
    struct Numbers {
        calls_away: Mutex<u32>,
        written: Mutex<Vec<i32>>,
        log: Mutex<Vec<(i32, bool)>>,
    }

    impl Numbers {
        fn away_for(calls: u32) -> Self {
            let (written, log) = <_>::default();
            Self { calls_away: Mutex::new(calls), written, log }
        }
    }

    fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl BatchWrite for Numbers {
        type Item = i32;
        type Answer = usize;

        fn write<'a>(&'a self, items: &'a [i32]) -> BoxFuture<'a, Result<usize>> {
            Box::pin(async move {
                let mut away = lock(&self.calls_away);
                if *away > 0 {
                    *away -= 1;
                    return Err(StoreError::Full("no space".to_owned()));
                }
                if items.iter().any(|item| *item < 0) {
                    return Err(StoreError::Corrupt("a negative number".to_owned()));
                }
                lock(&self.written).extend(items);
                Ok(items.len())
            })
        }

        /// Numbers below -9 stay as they are.
        fn set_aside(&self, item: &mut i32) -> bool {
            let is_small = *item > -10;
            if is_small {
                *item = 0;
            }
            is_small
        }

        fn log_refused(&self, item: &i32, _: &StoreError, is_set_aside: bool) {
            lock(&self.log).push((*item, is_set_aside));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_is_waited_for() {
        let numbers = Numbers::away_for(50);
        let written = write_batch(&numbers, &mut [1, 2]).await;
        assert!(matches!(written, Written::Whole(2)));
        assert_eq!(*lock(&numbers.written), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_item_delays_no_other_and_is_set_aside_where_it_can_be() {
        let numbers = Numbers::away_for(0);
        let mut items = [1, -1, 2, -10];
        let Written::Each(answers) = write_batch(&numbers, &mut items).await else {
            panic!("the batch is refused");
        };
        let accepted: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        assert_eq!(accepted, [true, true, true, false]);
        assert_eq!(*lock(&numbers.written), [1, 0, 2]);
        assert_eq!(*lock(&numbers.log), [(0, true), (-10, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait_for_a_store_that_is_away() {
        let numbers = Numbers::away_for(u32::MAX);
        let stop = CancellationToken::new();
        let cancel = async {
            tokio::time::sleep(std::time::Duration::from_mins(1)).await;
            stop.cancel();
        };
        let write = async { write_batch_until(&numbers, &mut [1], &stop).await.is_none() };
        let (is_given_up, ()) = tokio::join!(write, cancel);
        assert!(is_given_up);
    }
}
