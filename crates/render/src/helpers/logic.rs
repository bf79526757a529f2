//! Comparisons and logic: `eq`, `gt`, `and`, `not`, and so on, and `lookup`. They do what
//! handlebars' own do, and charge for what they read.

use std::cmp::Ordering;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonTruthy, Output, RenderContext,
    RenderError, RenderErrorReason, Renderable, ScopedJson,
};
use serde_json::{Number, Value};

use super::calls::{Reads, charge_parameters, is_copy, navigate, without_copy};
use super::written;
use crate::meter::charge_value;

/// What a test compares.
#[derive(Clone, Copy)]
pub(super) enum Test {
    /// Two values.
    Two(fn(&Value, &Value) -> bool),
    /// The order of two values.
    Order(fn(Ordering) -> bool),
    /// One value.
    One(fn(&Value) -> bool),
    /// Whether all values are true. A missing field is false here.
    All,
    /// Whether any of the values is true.
    Any,
}

/// All tests, by name.
pub(super) const TESTS: &[(&str, Test)] = &[
    ("eq", Test::Two(written::equal)),
    ("ne", Test::Two(|x, y| !written::equal(x, y))),
    ("gt", Test::Order(Ordering::is_gt)),
    ("gte", Test::Order(Ordering::is_ge)),
    ("lt", Test::Order(Ordering::is_lt)),
    ("lte", Test::Order(Ordering::is_le)),
    ("and", Test::All),
    ("or", Test::Any),
    ("not", Test::One(|value| !value.is_truthy(false))),
];

/// A test as a helper. As a block, `{{#eq a b}}…{{else}}…{{/eq}}`, it renders a branch.
pub(super) struct Tester(pub(super) &'static str, pub(super) Test);

impl Tester {
    fn result(&self, h: &Helper<'_>) -> Result<bool, RenderError> {
        let given = |at: usize| {
            let given = h.param(at).filter(|given| !given.is_value_missing());
            let absent = RenderErrorReason::ParamNotFoundForIndex(self.0, at);
            given.map(handlebars::PathAndJson::value).ok_or_else(|| RenderError::from(absent))
        };
        let reads = match self.1 {
            Test::Two(_) | Test::Order(_) => Reads::All,
            Test::One(_) | Test::All | Test::Any => Reads::Little,
        };
        charge_parameters(h, reads)?;
        let mut truths = h.params().iter().map(|given| given.value().is_truthy(false));
        Ok(match self.1 {
            Test::Two(test) => test(given(0)?, given(1)?),
            Test::Order(test) => order(given(0)?, given(1)?).is_some_and(test),
            Test::One(test) => test(given(0)?),
            Test::All => truths.all(|holds| holds),
            Test::Any => truths.any(|holds| holds),
        })
    }
}

impl HelperDef for Tester {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let holds = self.result(h)?;
        if !h.is_block() {
            return Ok(out.write(if holds { "true" } else { "false" })?);
        }
        let branch = if holds { h.template() } else { h.inverse() };
        branch.map_or(Ok(()), |template| template.render(r, ctx, rc, out))
    }

    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        self.result(h).map(|holds| ScopedJson::Derived(holds.into()))
    }
}

/// The order of numbers, of texts, of booleans, and of a number and a text that is one.
fn order(x: &Value, y: &Value) -> Option<Ordering> {
    let number = |text: &String| text.parse::<Number>().ok();
    match (x, y) {
        (Value::Number(x), Value::Number(y)) => numbers(x, y),
        (Value::String(x), Value::String(y)) => Some(x.cmp(y)),
        (Value::Bool(x), Value::Bool(y)) => Some(x.cmp(y)),
        (Value::Number(x), Value::String(y)) => numbers(x, &number(y)?),
        (Value::String(x), Value::Number(y)) => numbers(&number(x)?, y),
        _ => None,
    }
}

fn numbers(x: &Number, y: &Number) -> Option<Ordering> {
    match (x.as_i128(), y.as_i128()) {
        (Some(x), Some(y)) => Some(x.cmp(&y)),
        _ => x.as_f64()?.partial_cmp(&y.as_f64()?),
    }
}

/// `lookup`: an item of a list by its number, or a field of an object by its name.
pub(super) struct Lookup;

impl HelperDef for Lookup {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let given = |at| h.param(at).ok_or(RenderErrorReason::ParamNotFoundForIndex("lookup", at));
        let (collection, key) = (given(0)?, given(1)?.value());
        charge_parameters(h, Reads::Little)?;
        let missing = || RenderError::strict_error(None);
        let segment = match collection.value() {
            Value::Array(_) => key.as_u64().map(|number| number.to_string()),
            _ => key.as_str().map(str::to_owned),
        };
        let path = [segment.ok_or_else(missing)?];
        if is_copy(collection) {
            let found = navigate(collection.value(), &path).ok_or_else(missing)?;
            charge_value(found)?;
            return Ok(ScopedJson::Derived(found.clone()));
        }
        match without_copy(collection, context, rc) {
            ScopedJson::Context(whole, mut base) => {
                let found = navigate(whole, &path).ok_or_else(missing)?;
                base.extend(path);
                Ok(ScopedJson::Context(found, base))
            }
            ScopedJson::Constant(whole) => {
                navigate(whole, &path).map(ScopedJson::Constant).ok_or_else(missing)
            }
            _ => Err(missing()),
        }
    }
}
