//! Handlebars' own helpers that give values, as functions of them: what [`super::super::program`] calls
//! in their place. Where handlebars would coerce, these decline, and handlebars itself is asked.

use std::cmp::Ordering;

use handlebars::JsonTruthy as _;
use serde_json::{Number, Value};

use super::{Args, Function};

/// Helpers for which a missing field is an error.
pub(super) const STRICT: [(&str, Function); 8] = [
    ("eq", |args| Ok((args.get(0)? == args.get(1)?).into())),
    ("ne", |args| Ok((args.get(0)? != args.get(1)?).into())),
    ("gt", |args| Ok((order(args)? == Ordering::Greater).into())),
    ("gte", |args| Ok((order(args)? != Ordering::Less).into())),
    ("lt", |args| Ok((order(args)? == Ordering::Less).into())),
    ("lte", |args| Ok((order(args)? != Ordering::Greater).into())),
    ("not", |args| Ok((!args.get(0)?.is_truthy(false)).into())),
    ("lookup", |args| {
        let found = match args.get(0)? {
            Value::Array(items) => {
                args.get(1)?.as_u64().and_then(|at| items.get(usize::try_from(at).ok()?))
            }
            Value::Object(fields) => args.get(1)?.as_str().and_then(|key| fields.get(key)),
            _ => None,
        };
        found.cloned().ok_or_else(|| "there is no such field".to_owned())
    }),
];

/// Helpers to which a missing field is null.
pub(super) const LENIENT: [(&str, Function); 2] = [
    ("and", |args| Ok(args.all().all(|value| value.is_truthy(false)).into())),
    ("or", |args| Ok(args.all().any(|value| value.is_truthy(false)).into())),
];

/// Of two values of one kind.
fn order(args: &Args<'_>) -> Result<Ordering, String> {
    let order = match (args.get(0)?, args.get(1)?) {
        (Value::Number(left), Value::Number(right)) => of_numbers(left, right),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    };
    order.ok_or_else(|| "these have no order here".to_owned())
}

/// As integers, or as floats if these say both exactly.
fn of_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    const EXACT: i128 = 1 << 53;
    let whole =
        |number: &Number| number.as_u64().map(i128::from).or(number.as_i64().map(i128::from));
    let exact = |number: &Number| match whole(number) {
        Some(whole) if !(-EXACT..=EXACT).contains(&whole) => None,
        _ => number.as_f64(),
    };
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => exact(left)?.partial_cmp(&exact(right)?),
    }
}
