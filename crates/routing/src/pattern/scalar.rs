//! The scalars of an event and of a filter: text, numbers, true, false, and null.

use fanfare_contract::Json;
use serde_json::Value;

use super::number::Number;
use super::probe::Probe;
use crate::exact;

/// A scalar of an event. It is read once and compared with many leaves.
#[derive(Clone, Debug)]
pub(crate) enum Scalar<'v> {
    Text(&'v str),
    Plain(Plain),
}

/// A scalar other than text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Plain {
    Null,
    Bool(bool),
    Number(Number),
}

/// A sorted set of exact values, so that a search among 10,000 values takes 14 comparisons.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Exact {
    pub(crate) texts: Vec<Box<str>>,
    pub(crate) plain: Vec<Plain>,
}

/// Digits of a number that count as one step.
const DIGITS_PER_STEP: usize = 32;

impl<'v> Scalar<'v> {
    /// The scalar, or `None` if the value is a list or an object, or if there are no steps left.
    pub(crate) fn new(value: &'v Json, probe: &Probe<'_>) -> Option<Self> {
        Some(match value {
            Json::Text(text) => Self::Text(text),
            Json::Null => Self::Plain(Plain::Null),
            Json::Bool(truth) => Self::Plain(Plain::Bool(*truth)),
            Json::Number(number) => {
                if !probe.steps.spend(1 + number.len() / DIGITS_PER_STEP) {
                    return None;
                }
                Self::Plain(Plain::Number(Number::new(number)))
            }
            Json::List(_) | Json::Object(_) => return None,
        })
    }

    /// The same of a value in a filter.
    fn of_filter(value: &'v Value) -> Option<Self> {
        Some(match value {
            Value::String(text) => Self::Text(text),
            Value::Null => Self::Plain(Plain::Null),
            Value::Bool(truth) => Self::Plain(Plain::Bool(*truth)),
            other => Self::Plain(Plain::Number(exact::number(other)?)),
        })
    }
}

impl Exact {
    /// The set of the scalars among `values`, which come from a filter.
    pub(super) fn new<'v>(values: impl IntoIterator<Item = &'v Value>) -> Self {
        let mut set = Self::default();
        for value in values {
            match Scalar::of_filter(value) {
                Some(Scalar::Text(text)) => set.texts.push(text.into()),
                Some(Scalar::Plain(plain)) => set.plain.push(plain),
                None => {}
            }
        }
        set.texts.sort_unstable();
        set.texts.dedup();
        set.plain.sort_unstable();
        set.plain.dedup();
        set
    }

    pub(super) fn contains(&self, scalar: &Scalar<'_>) -> bool {
        match scalar {
            Scalar::Text(text) => self.texts.binary_search_by(|own| (**own).cmp(text)).is_ok(),
            Scalar::Plain(plain) => self.plain.binary_search(plain).is_ok(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len() + self.plain.len()
    }
}

/// Whether `test` accepts the value, or any element if the value is an array. An object has no
/// scalar.
pub(super) fn any_scalar<F: FnMut(&Scalar<'_>) -> bool>(
    value: &Json,
    probe: &Probe<'_>,
    test: &mut F,
) -> bool {
    if !probe.steps.spend(1) {
        return false;
    }
    match value {
        Json::List(items) => items.iter().any(|item| any_scalar(item, probe, test)),
        other => Scalar::new(other, probe).is_some_and(|scalar| test(&scalar)),
    }
}
