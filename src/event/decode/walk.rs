//! What the visitors of one scan share.

use std::cell::RefCell;

use crate::event::limits::Limits;
use crate::event::refusal::Refusal;

/// Carries the limits down and a refusal up, because serde's errors contain only text.
#[derive(Clone, Copy)]
pub(super) struct Walk<'w> {
    pub(super) refusal: &'w RefCell<Option<Refusal>>,
    pub(super) limits: Limits,
}

impl Walk<'_> {
    pub(super) fn refuse<E: serde::de::Error>(&self, code: &'static str, message: String) -> E {
        *self.refusal.borrow_mut() = Some(Refusal::new(code, message));
        E::custom(code)
    }

    pub(super) fn duplicate<E: serde::de::Error>(&self, key: &str) -> E {
        let key: String = key.chars().take(64).collect();
        let message = format!(
            "the key `{key}` occurs twice in one object, and receivers would disagree on its value; \
             remove one"
        );
        self.refuse("duplicate_key", message)
    }
}
