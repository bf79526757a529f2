//! Failures on demand, by the name of a call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::{Result, StoreError};

/// What the next calls come to.
pub struct Faults {
    fail: Mutex<HashMap<&'static str, u32>>,
    hang: watch::Sender<Vec<&'static str>>,
    refuse: Mutex<Vec<(&'static str, String)>>,
    met: Mutex<HashMap<&'static str, u64>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            fail: Mutex::default(),
            hang: watch::Sender::new(Vec::new()),
            refuse: Mutex::default(),
            met: Mutex::default(),
        }
    }
}

impl Faults {
    /// The next `count` calls of `name` (`log.settle`, `agenda.claim`) fail: the store is away.
    pub fn fail(&self, name: &'static str, count: u32) {
        self.fail.lock().unwrap_or_else(PoisonError::into_inner).insert(name, count);
    }

    /// Calls of `name` do not answer until [`Faults::heal`].
    pub fn hang(&self, name: &'static str) {
        self.hang.send_modify(|hanging| hanging.push(name));
    }

    /// Everything answers again.
    pub fn heal(&self) {
        self.fail.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.hang.send_modify(Vec::clear);
    }

    /// From now on `name` refuses for good whatever holds this event with an attempt, or, where it
    /// has no attempts, this event.
    pub fn refuse(&self, name: &'static str, event: &str) {
        let mut refuse = self.refuse.lock().unwrap_or_else(PoisonError::into_inner);
        refuse.push((name, event.to_owned()));
    }

    /// How often `name` was called so far.
    pub fn met(&self, name: &'static str) -> u64 {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.get(name).copied().unwrap_or(0)
    }

    /// Of calls that bring events: is one of them refused?
    pub(super) fn look_at<'a>(
        &self,
        name: &'static str,
        events: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        let refuse = self.refuse.lock().unwrap_or_else(PoisonError::into_inner);
        let is_bad = |event: &str| refuse.iter().any(|(of, id)| *of == name && id == event);
        if events.into_iter().any(is_bad) {
            let message = format!("{name} will not");
            return Err(StoreError::Refused { message, source: None });
        }
        Ok(())
    }

    /// At the head of every call: what shall become of it.
    pub(super) async fn meet(&self, name: &'static str) -> Result<()> {
        *self.met.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        let mut hang = self.hang.subscribe();
        let _ = hang.wait_for(|hanging| !hanging.contains(&name)).await;
        let mut fail = self.fail.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = fail.get_mut(name).filter(|left| **left > 0) {
            *left -= 1;
            return Err(StoreError::Away { message: format!("{name} fails"), source: None });
        }
        Ok(())
    }
}
