//! The destinations: each listens on a port of its own and misbehaves by the plan. And the tally.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use fanfare_receivers::{HttpReceiver, Received, Reply};

use crate::plan::{FOLLOWED, Plan, SITES, number};

/// One delivery: the event's number and the place of its destination in [`SITES`].
pub(crate) type Key = (u32, usize);

/// A delivery that was taken once more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Duplicate {
    pub(crate) key: Key,
    /// When it was taken the time before.
    pub(crate) before: Duration,
    /// When it was taken again.
    pub(crate) again: Duration,
}

/// What arrived.
#[derive(Default)]
pub(crate) struct Tally {
    /// By delivery: how many requests, and when it was last taken.
    seen: HashMap<Key, Seen>,
    bodies: HashMap<u32, u64>,
    taken: usize,
    /// When each event first arrived at the destination without faults.
    pub(crate) steady: HashMap<u32, Duration>,
    pub(crate) duplicates: Vec<Duplicate>,
    /// Deliveries that nobody asked for, redirects followed, ids not ours, bodies that changed.
    pub(crate) wrong: Vec<String>,
    pub(crate) requests: usize,
}

#[derive(Default)]
struct Seen {
    tries: u32,
    taken: Option<Duration>,
}

/// All receivers, running.
pub(crate) struct Receivers {
    sites: Vec<HttpReceiver>,
    tally: Arc<Mutex<Tally>>,
}

impl Receivers {
    pub(crate) async fn start(plan: Plan, began: Instant) -> Result<Self> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut sites = Vec::new();
        for site in 0..SITES.len() {
            let tally = Arc::clone(&tally);
            let script = move |request: &Received, _| {
                lock(&tally).take(&plan, site, request, request.at.duration_since(began))
            };
            sites.push(HttpReceiver::scripted(script).await?);
        }
        Ok(Self { sites, tally })
    }

    /// The address of a destination.
    pub(crate) fn url(&self, site: usize) -> String {
        self.sites[site].url(&format!("/hooks/{}", SITES[site].id))
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// How many deliveries were taken at least once.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Was it taken?
    pub(crate) fn has(&self, key: Key) -> bool {
        self.seen.get(&key).is_some_and(|seen| seen.taken.is_some())
    }

    /// Counts a request and decides the answer.
    fn take(&mut self, plan: &Plan, site: usize, request: &Received, at: Duration) -> Reply {
        self.requests += 1;
        let id = request.header("webhook-id");
        let Some(n) = number(id).filter(|n| *n < plan.events) else {
            return self.wrong(format!("{} got an event that nobody sent", SITES[site].id));
        };
        if request.path == FOLLOWED {
            return self.wrong(format!("a redirect of {} was followed", SITES[site].id));
        }
        if !plan.sites(n).any(|to| to == site) {
            return self.wrong(format!("{id} came to {}", SITES[site].id));
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(&request.body);
        let body = hasher.finish();
        if *self.bodies.entry(n).or_insert(body) != body {
            return self.wrong(format!("{id} came with another body than before"));
        }
        let seen = self.seen.entry((n, site)).or_default();
        let answer = plan.answer(site, n, seen.tries, at);
        seen.tries += 1;
        if answer.takes {
            match seen.taken.replace(at) {
                Some(before) => {
                    self.duplicates.push(Duplicate { key: (n, site), before, again: at });
                }
                None => self.taken += 1,
            }
            if site == 0 {
                self.steady.entry(n).or_insert(at);
            }
        }
        answer.reply
    }

    fn wrong(&mut self, what: String) -> Reply {
        self.wrong.push(what);
        Reply::Status(500)
    }
}
