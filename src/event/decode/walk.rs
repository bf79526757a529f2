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

    /// Says what a value of the wrong type should have been, unless that was said further inside.
    /// The error stays as it is: it may also mean that the JSON is broken.
    pub(super) fn explain<E: serde::de::Error>(
        &self,
        error: E,
        message: impl FnOnce(&E) -> String,
    ) -> E {
        let mut refusal = self.refusal.borrow_mut();
        refusal.get_or_insert_with(|| Refusal::new("wrong_type", message(&error)));
        drop(refusal);
        error
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
