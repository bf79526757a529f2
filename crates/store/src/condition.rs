//! How the store is, as its callers find it: one line in the log a change, however many callers
//! there are and however often they try.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Call, StoreError};

/// What a store can be besides well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ill {
    Away,
    Full,
    ReadOnly,
}

/// The condition of one store.
#[derive(Debug, Default)]
pub(super) struct Condition {
    now: Mutex<Option<Illness>>,
}

/// What else is seen within this time is part of the same: a server that changes its mind closes
/// connections and breaks off commands meanwhile.
const IN_PASSING: Duration = Duration::from_secs(1);
/// An absence is over when nothing has failed for so long, though not everything was tried.
const QUIET: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Illness {
    ill: Ill,
    /// Kinds of calls that failed and have not gone well since. Where only some fail (a full disk
    /// takes small changes and no events; a node of a Cluster is away), the others going well means
    /// nothing.
    calls: u32,
    /// When it was last met.
    met: Instant,
}

impl Condition {
    /// One call ended.
    pub(super) fn note(&self, call: Call, error: Option<&StoreError>) {
        let Some(error) = error else { return self.went_well(call) };
        let ill = match error {
            StoreError::Away { .. } => Ill::Away,
            StoreError::Full(_) => Ill::Full,
            StoreError::ReadOnly(_) => Ill::ReadOnly,
            _ => return,
        };
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = now.as_mut()
            && (there.ill == ill || there.met.elapsed() < IN_PASSING)
        {
            there.calls |= bit(call);
            if there.ill == ill {
                there.met = Instant::now();
            }
            return;
        }
        *now = Some(Illness { ill, calls: bit(call), met: Instant::now() });
        drop(now);
        match ill {
            Ill::Away => tracing::warn!("{error}; trying again until it is back"),
            Ill::Full => tracing::warn!("{error}; new events are refused until there is room"),
            Ill::ReadOnly => {
                tracing::warn!("{error}; new events are refused until it can be written");
            }
        }
    }

    fn went_well(&self, call: Call) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(there) = now.as_mut() else { return };
        there.calls &= !bit(call);
        let is_quiet = there.ill == Ill::Away && there.met.elapsed() >= QUIET;
        if there.calls != 0 && !is_quiet {
            return;
        }
        let was = match there.ill {
            Ill::Away => "the store is back",
            Ill::Full => "the store has room again",
            Ill::ReadOnly => "the store can be written again",
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

    fn is_ill(condition: &Condition) -> Option<Ill> {
        condition.now.lock().unwrap().as_ref().map(|illness| illness.ill)
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
        assert_eq!(is_ill(&condition), Some(Ill::Away), "a part of it is still away");
        condition.note(Call::Append, None);
        assert_eq!(is_ill(&condition), None);

        condition.note(Call::Ledger, Some(&away()));
        tokio::time::advance(QUIET).await;
        assert_eq!(is_ill(&condition), Some(Ill::Away));
        condition.note(Call::Claim, None);
        assert_eq!(is_ill(&condition), None, "nobody asks the ledger again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_seen_in_passing_is_no_change() {
        let condition = Condition::default();
        let read_only = StoreError::ReadOnly("a replica".to_owned());
        condition.note(Call::Claim, Some(&read_only));
        condition.note(Call::Read, Some(&away()));
        assert_eq!(is_ill(&condition), Some(Ill::ReadOnly), "a connection broke meanwhile");
        tokio::time::advance(IN_PASSING).await;
        condition.note(Call::Read, Some(&away()));
        assert_eq!(is_ill(&condition), Some(Ill::Away), "nothing else is heard of it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_is_so_until_what_was_refused_is_taken() {
        let condition = Condition::default();
        condition.note(Call::Append, Some(&StoreError::Full("no".to_owned())));
        for call in [Call::Read, Call::Claim, Call::Settle] {
            condition.note(call, None);
            assert_eq!(is_ill(&condition), Some(Ill::Full), "{call:?}");
        }
        condition.note(Call::Append, None);
        assert_eq!(is_ill(&condition), None);
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_question_is_no_condition_of_the_store() {
        let condition = Condition::default();
        condition.note(Call::Ledger, Some(&StoreError::BadQuery("no cursor".to_owned())));
        assert_eq!(is_ill(&condition), None);
    }
}
