//! Limits that all processes of a store keep together.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{LaneKey, Ms};

/// Paces that are remembered before unused ones are removed.
const PACES: usize = 10_000;

/// A pace: a burst, then one place per interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// From one place to the next.
    pub interval: Duration,
    /// Places that are free after a pause.
    pub burst: u32,
}

/// The answer to a request for places of a pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// How many were taken.
    pub taken: u32,
    /// If none: how long until the next one is free.
    pub wait: Duration,
}

/// The circuit of a lane that a process opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCircuit {
    /// The lane.
    pub lane: LaneKey,
    /// The revision of the tenant's document at that time. A person may have repaired the lane
    /// since.
    pub revision: u64,
    /// Until when nothing goes.
    pub until: Ms,
}

/// The paces of a store that one process uses alone.
#[derive(Default)]
pub(crate) struct LocalPaces(Mutex<HashMap<String, Instant>>);

impl LocalPaces {
    /// See [`Limits::take_places`](crate::Limits::take_places).
    pub(crate) fn take(&self, key: &str, pacing: Pacing, most: u32) -> Places {
        let now = Instant::now();
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if paces.len() >= PACES {
            paces.retain(|_, next| *next > now);
        }
        let interval = pacing.interval.max(Duration::from_micros(1));
        let whole = interval * pacing.burst.max(1);
        let next = paces.get(key).map_or(now, |next| (*next).max(now));
        let used = next.duration_since(now);
        let free = whole.saturating_sub(used).as_nanos() / interval.as_nanos();
        let taken = u32::try_from(free).unwrap_or(u32::MAX).min(most);
        if taken == 0 {
            return Places { taken, wait: (used + interval).saturating_sub(whole) };
        }
        paces.insert(key.to_owned(), next + interval * taken);
        Places { taken, wait: Duration::ZERO }
    }
}
