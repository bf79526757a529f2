//! Counts the work of one rendering, and ends it when it has used its budget.
//!
//! Handlebars has no hook for each step. But all of its repetition goes through templates inside of
//! blocks and through helpers, and both are ours: [`super::instrument`] puts a step counter in front
//! of every block's content, and every helper charges for the values that it reads. So between two
//! charges lies at most one pass over a part of the template that was charged before it began. A
//! charge that exceeds the budget is an error, and handlebars returns from every level on an error.
//!
//! The count belongs to the thread, because handlebars passes nothing of ours to helpers. A
//! rendering does not leave its thread.

use std::cell::Cell;

use handlebars::{Output, RenderError, RenderErrorReason};
use serde_json::Value;

use super::limits::Budget;

/// What was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Steps,
    Output,
}

#[derive(Clone, Copy)]
struct Meter {
    steps: u64,
    /// The blocks around the current position. A lookup asks each of them for its variables.
    blocks: u64,
    /// What a copy of the path of the most expensive of these blocks costs. A lookup makes one.
    path: u64,
    over: Option<Over>,
}

/// Outside of [`metered`] there is nothing to spend.
const NOTHING: Meter = Meter { steps: 0, blocks: 0, path: 0, over: None };

impl Meter {
    /// What looking up one path costs.
    fn lookup(&self) -> u64 {
        1 + self.path + self.blocks / 4
    }
}

thread_local! {
    static METER: Cell<Meter> = const { Cell::new(NOTHING) };
}

/// What a rendering used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) steps: u64,
    pub(super) over: Option<Over>,
}

/// Runs `render` with these steps to spend. The steps of a rendering around it are not touched.
pub(super) fn metered<T>(budget: Budget, render: impl FnOnce() -> T) -> (T, Used) {
    struct Restore(Meter);
    impl Drop for Restore {
        fn drop(&mut self) {
            METER.set(self.0);
        }
    }
    let _restore = Restore(METER.replace(Meter { steps: budget.steps, ..NOTHING }));
    let result = render();
    let Meter { steps, over, .. } = METER.get();
    (result, Used { steps: budget.steps - steps, over })
}

/// Takes steps from the budget.
pub(super) fn charge(steps: u64) -> Result<(), RenderError> {
    let mut meter = METER.get();
    match meter.steps.checked_sub(steps) {
        Some(left) => {
            meter.steps = left;
            METER.set(meter);
            Ok(())
        }
        None => {
            meter.steps = 0;
            meter.over.get_or_insert(Over::Steps);
            METER.set(meter);
            Err(RenderErrorReason::Other("the budget of steps is used up".to_owned()).into())
        }
    }
}

/// Takes `steps`, and for each of `lookups` what a lookup costs here.
pub(super) fn charge_body(steps: u64, lookups: u64) -> Result<(), RenderError> {
    charge(steps.saturating_add(lookups.saturating_mul(lookup())))
}

/// Takes the size of `value`.
pub(super) fn charge_value(value: &Value) -> Result<(), RenderError> {
    let mut left = METER.get().steps;
    let before = left;
    let fits = measure(value, &mut left);
    charge(if fits { before - left } else { u64::MAX })
}

/// Subtracts the size of `value` from what is left. False, if less is left.
fn measure(value: &Value, left: &mut u64) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => take(left, 1),
        Value::String(text) => take(left, 1 + text_steps(text.len())),
        Value::Array(items) => take(left, 1) && items.iter().all(|item| measure(item, left)),
        Value::Object(fields) => {
            let mut fields = fields.iter();
            take(left, 1)
                && fields
                    .all(|(key, value)| take(left, text_steps(key.len())) && measure(value, left))
        }
    }
}

fn take(left: &mut u64, steps: u64) -> bool {
    let rest = left.checked_sub(steps);
    *left = rest.unwrap_or_default();
    rest.is_some()
}

/// Steps for reading or copying a text of this many bytes.
pub(super) fn text_steps(bytes: usize) -> u64 {
    bytes as u64 / 32
}

/// Runs `render` inside of a block. `path` is the path in the context that the block stands for, and
/// `key` the length of the longest key that a loop adds to it.
pub(super) fn within<T>(path: Option<&Vec<String>>, key: usize, render: impl FnOnce() -> T) -> T {
    let before = METER.get();
    let segments = path.map_or(0, Vec::len) as u64;
    let bytes = path.map_or(0, |path| path.iter().map(String::len).sum()) + key;
    let path = before.path.max(segments / 4 + text_steps(bytes));
    METER.set(Meter { path, blocks: before.blocks + 1, ..before });
    let result = render();
    METER.set(Meter { path: before.path, blocks: before.blocks, ..METER.get() });
    result
}

/// What a lookup costs here.
pub(super) fn lookup() -> u64 {
    METER.get().lookup()
}

/// Output with a limit.
pub(super) struct Bounded {
    text: String,
    limit: usize,
}

impl Bounded {
    pub(super) fn new(limit: usize) -> Self {
        Self { text: String::with_capacity(limit.min(8 * 1024)), limit }
    }

    pub(super) fn into_string(self) -> String {
        self.text
    }
}

impl Output for Bounded {
    fn write(&mut self, segment: &str) -> std::io::Result<()> {
        if segment.len() > self.limit - self.text.len() {
            let mut meter = METER.get();
            meter.over.get_or_insert(Over::Output);
            METER.set(meter);
            return Err(std::io::Error::other("the output is too long"));
        }
        self.text.push_str(segment);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SMALL: Budget = Budget { steps: 100, bytes: 10 };

    #[test]
    fn a_charge_past_the_budget_is_an_error_and_stays_one() {
        let ((), used) = metered(SMALL, || {
            assert!(charge(60).is_ok());
            assert!(charge(60).is_err());
            assert!(charge(1).is_err());
        });
        assert_eq!((used.steps, used.over), (100, Some(Over::Steps)));
        assert!(charge(1).is_err(), "there is no budget outside of a rendering");
    }

    #[test]
    fn a_value_costs_its_size_and_measuring_it_ends_at_the_budget() {
        let (fits, used) = metered(SMALL, || charge_value(&json!({ "a": [1, 2, "x"] })).is_ok());
        assert_eq!((fits, used.steps), (true, 5));
        let long = "x".repeat(3_200);
        assert!(metered(SMALL, || charge_value(&json!([long])).is_err()).0);
        let wide = Value::Array(vec![Value::Null; 1_000_000]);
        assert!(metered(SMALL, || charge_value(&wide).is_err()).0);
    }

    #[test]
    fn output_past_the_limit_is_an_error() {
        let (text, used) = metered(SMALL, || {
            let mut out = Bounded::new(SMALL.bytes);
            assert!(out.write("0123456789").is_ok());
            assert!(out.write("x").is_err());
            out.into_string()
        });
        assert_eq!((text.as_str(), used.over), ("0123456789", Some(Over::Output)));
    }

    #[test]
    fn a_rendering_within_a_rendering_has_its_own_budget() {
        let ((), used) = metered(SMALL, || {
            assert!(charge(10).is_ok());
            assert!(metered(SMALL, || charge(200)).0.is_err());
            assert!(charge(10).is_ok());
        });
        assert_eq!((used.steps, used.over), (20, None));
    }
}
