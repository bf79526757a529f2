//! Answers and failures, each for a limited time.
//!
//! The time of an answer is its TTL within bounds. The floor keeps a name with TTL 0 from being
//! looked up for every connection. The ceiling is a setting. A failure is kept for a short time:
//! the next attempt of a delivery then fails at once instead of waiting for the name server again.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// Shortest time that an answer is kept.
const POSITIVE_MIN: Duration = Duration::from_secs(5);
/// Bounds on how long "no such name" is kept.
const NEGATIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// How long a failure is kept: a name server that did not answer, or answered with an error.
const FAILED: Duration = Duration::from_secs(5);

/// What one lookup found.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// Addresses, at least one, with their TTL.
    Addresses(Arc<[IpAddr]>, Duration),
    /// The name or its addresses do not exist, with the TTL of this answer if it has one.
    Nothing(Option<Duration>),
    /// No answer, with the reason.
    Failed(io::ErrorKind, Arc<str>),
}

impl Found {
    /// The answer for a caller.
    pub(crate) fn answer(&self) -> io::Result<Arc<[IpAddr]>> {
        match self {
            Self::Addresses(ips, _) => Ok(Arc::clone(ips)),
            Self::Nothing(_) => {
                Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
            }
            Self::Failed(kind, why) => Err(io::Error::new(*kind, &**why)),
        }
    }
}

/// The cache. Its size is bounded: the name that was added first makes room.
pub(crate) struct Cache {
    names_max: usize,
    positive_max: Duration,
    known: HashMap<Arc<str>, Known>,
    /// Names in the order in which they were added, each with the number of its entry. A number
    /// that differs belongs to an entry that was replaced.
    order: VecDeque<(Arc<str>, u64)>,
    count: u64,
}

struct Known {
    found: Found,
    until: Instant,
    number: u64,
}

impl Cache {
    pub(crate) fn new(names_max: usize, positive_max: Duration) -> Self {
        let (known, order) = (HashMap::new(), VecDeque::new());
        Self { names_max, positive_max, known, order, count: 0 }
    }

    /// What is known about a name at `now`.
    pub(crate) fn get(&self, name: &str, now: Instant) -> Option<&Found> {
        self.known.get(name).filter(|known| known.until > now).map(|known| &known.found)
    }

    /// Keeps the result of a lookup.
    pub(crate) fn put(&mut self, name: &Arc<str>, found: Found, now: Instant) {
        if self.names_max == 0 {
            return;
        }
        let lasts = self.lasts(&found);
        self.count += 1;
        let known = Known { found, until: now + lasts, number: self.count };
        self.known.insert(Arc::clone(name), known);
        self.order.push_back((Arc::clone(name), self.count));
        while self.known.len() > self.names_max || self.order.len() > 2 * self.names_max {
            let Some((name, number)) = self.order.pop_front() else { break };
            if self.known.get(&name).is_some_and(|known| known.number == number) {
                self.known.remove(&name);
            }
        }
    }

    fn lasts(&self, found: &Found) -> Duration {
        match found {
            // The ceiling wins if it is below the floor.
            Found::Addresses(_, ttl) => (*ttl).max(POSITIVE_MIN).min(self.positive_max),
            Found::Nothing(ttl) => ttl.unwrap_or(NEGATIVE.0).clamp(NEGATIVE.0, NEGATIVE.1),
            Found::Failed(..) => FAILED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: Duration = Duration::from_mins(5);

    fn address(ttl: u64) -> Found {
        Found::Addresses([[127, 0, 0, 1].into()].into(), Duration::from_secs(ttl))
    }

    /// For how many seconds it is kept.
    fn kept(found: Found) -> u64 {
        let (mut cache, now) = (Cache::new(8, CEILING), Instant::now());
        cache.put(&"a".into(), found, now);
        let is_known = |secs| cache.get("a", now + Duration::from_secs(secs)).is_some();
        (0..1_000).find(|secs| !is_known(*secs)).unwrap()
    }

    #[test]
    fn a_ttl_is_honored_between_floor_and_ceiling() {
        assert_eq!(kept(address(60)), 60);
        assert_eq!(kept(address(0)), 5);
        assert_eq!(kept(address(86_400)), 300);
        assert_eq!(kept(Found::Nothing(Some(Duration::from_secs(12)))), 12);
        assert_eq!(kept(Found::Nothing(Some(Duration::from_hours(1)))), 30);
        assert_eq!(kept(Found::Nothing(None)), 5);
        assert_eq!(kept(Found::Failed(io::ErrorKind::TimedOut, "late".into())), 5);
    }

    #[test]
    fn the_cache_is_bounded_and_the_oldest_name_makes_room() {
        let (mut cache, now) = (Cache::new(3, CEILING), Instant::now());
        for _ in 0..100 {
            cache.put(&"same".into(), address(60), now);
        }
        for name in ["a", "b", "c"] {
            cache.put(&name.into(), address(60), now);
        }
        assert!(cache.get("same", now).is_none());
        assert!(["a", "b", "c"].iter().all(|name| cache.get(name, now).is_some()));
        assert!(cache.known.len() <= 3 && cache.order.len() <= 6);
    }
}
