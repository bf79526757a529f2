//! The condition of a store as its callers see it. Each change is logged once, however many callers
//! there are and however often they retry.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Call, StoreError};

/// What can be wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Away,
    Full,
    ReadOnly,
    Denied,
    Damaged,
}

/// The condition of one store.
#[derive(Debug, Default)]
pub(super) struct Condition {
    now: Mutex<Option<Outage>>,
}

/// Another problem within this time belongs to the same outage: a server that changes its role also
/// closes connections and aborts commands.
const SAME_OUTAGE: Duration = Duration::from_secs(1);
/// An outage is over when nothing has failed for this long, even if not every call was tried.
const QUIET: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Outage {
    problem: Problem,
    /// Kinds of calls that failed and have not succeeded since. Where only some calls fail (a full
    /// disk accepts small changes and no events, or one node of a Cluster is down), the success of
    /// the others means nothing.
    calls: u32,
    /// When a call last failed.
    last: Instant,
}

impl Condition {
    /// One call ended.
    pub(super) fn note(&self, call: Call, error: Option<&StoreError>) {
        let Some(error) = error else { return self.succeeded(call) };
        let problem = match error {
            StoreError::Away { .. } => Problem::Away,
            StoreError::Full(_) => Problem::Full,
            StoreError::ReadOnly(_) => Problem::ReadOnly,
            StoreError::Denied { .. } => Problem::Denied,
            StoreError::Damaged(_) => Problem::Damaged,
            _ => return,
        };
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = now.as_mut()
            && (there.problem == problem || there.last.elapsed() < SAME_OUTAGE)
        {
            there.calls |= bit(call);
            if there.problem == problem {
                there.last = Instant::now();
            }
            return;
        }
        *now = Some(Outage { problem, calls: bit(call), last: Instant::now() });
        drop(now);
        match problem {
            Problem::Away => tracing::warn!("{error}; retrying until it is back"),
            Problem::Full => tracing::warn!("{error}; new events are refused until there is room"),
            Problem::ReadOnly => {
                tracing::warn!("{error}; new events are refused until it can be written");
            }
            Problem::Denied => {
                tracing::error!("{error}; check the user, its password and its permissions");
            }
            // The store itself logs damage, once.
            Problem::Damaged => {}
        }
    }

    fn succeeded(&self, call: Call) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(there) = now.as_mut() else { return };
        there.calls &= !bit(call);
        let is_quiet = there.problem == Problem::Away && there.last.elapsed() >= QUIET;
        if there.calls != 0 && !is_quiet {
            return;
        }
        let was = match there.problem {
            Problem::Away => "the store is back",
            Problem::Full => "the store has room again",
            Problem::ReadOnly => "the store can be written again",
            Problem::Denied => "the store grants access again",
            Problem::Damaged => "the store can be used again",
        };
        *now = None;
        drop(now);
        tracing::info!("{was}");
    }
}

fn bit(call: Call) -> u32 {
    let place = Call::ALL.iter().position(|one| *one == call).unwrap_or(0);
    1 << place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(condition: &Condition) -> Option<Problem> {
        condition.now.lock().unwrap().as_ref().map(|outage| outage.problem)
    }

    fn away() -> StoreError {
        StoreError::Away { message: "gone".to_owned(), source: None }
    }

    #[tokio::test(start_paused = true)]
    async fn an_absence_is_over_when_all_that_failed_goes_well_or_nothing_fails_for_a_while() {
        let condition = Condition::default();
        condition.note(Call::Claim, Some(&away()));
        condition.note(Call::Append, Some(&away()));
        condition.note(Call::Read, None);
        condition.note(Call::Claim, None);
        assert_eq!(problem(&condition), Some(Problem::Away), "a part of it is still down");
        condition.note(Call::Append, None);
        assert_eq!(problem(&condition), None);

        condition.note(Call::Ledger, Some(&away()));
        tokio::time::advance(QUIET).await;
        assert_eq!(problem(&condition), Some(Problem::Away));
        condition.note(Call::Claim, None);
        assert_eq!(problem(&condition), None, "no call asks the ledger again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_seen_in_passing_is_no_change() {
        let condition = Condition::default();
        let read_only = StoreError::ReadOnly("a replica".to_owned());
        condition.note(Call::Claim, Some(&read_only));
        condition.note(Call::Read, Some(&away()));
        assert_eq!(problem(&condition), Some(Problem::ReadOnly), "a connection broke meanwhile");
        tokio::time::advance(SAME_OUTAGE).await;
        condition.note(Call::Read, Some(&away()));
        assert_eq!(problem(&condition), Some(Problem::Away), "the connection is still broken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_is_so_until_what_was_refused_is_taken() {
        let condition = Condition::default();
        condition.note(Call::Append, Some(&StoreError::Full("no".to_owned())));
        for call in [Call::Read, Call::Claim, Call::Settle] {
            condition.note(call, None);
            assert_eq!(problem(&condition), Some(Problem::Full), "{call:?}");
        }
        condition.note(Call::Append, None);
        assert_eq!(problem(&condition), None);
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_question_is_no_condition_of_the_store() {
        let condition = Condition::default();
        condition.note(Call::Ledger, Some(&StoreError::BadQuery("no cursor".to_owned())));
        assert_eq!(problem(&condition), None);
    }
}
