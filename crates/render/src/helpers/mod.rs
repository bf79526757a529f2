//! What templates can call, besides handlebars' own `each`, `with`, `lookup`, `eq`, `gt`, ….
//!
//! | helper | gives |
//! | --- | --- |
//! | `opt x` | `x`, or nothing when the event does not have it |
//! | `default x "y"` | `x`, or `y` when it is missing or empty |
//! | `has x` | whether there is something to show: not null, not empty |
//! | `list x` | `x` as a list: nothing is an empty one, a single value has one item |
//! | `entries x limit=40` | the fields of an object, or the items of a list, for a loop with `@key` |
//! | `text x limit=1000` | `x` for people: yes or no, lists joined, nested fields named; cut at the limit |
//! | `line x limit=300` | the same on one line |
//! | `date x zone="Europe/Madrid"` | Unix seconds or RFC 3339 → `26 Dec 2024, 16:00 UTC` |
//! | `day x zone=…` | the date alone |
//! | `slack_date x` | a time that Slack shows in the reader's own time zone |
//! | `humanize x` | `IN_REVIEW` → `In review`, `kyc.session.created` → `KYC session created` |
//! | `upper_first x`, `upper x` | `abc` → `Abc`, `ABC` |
//! | `truncate x 80` | at most so many characters, with an ellipsis |
//! | `short x` | the first part of a long id: `7f6c2a54` |
//! | `number x`, `percent x`, `duration_ms x` | `5 000`, `99.1%`, `3 min 4 s` |
//! | `plural n "match" "matches"` | `2 matches` |
//! | `join list ", "`, `humanize_all list` | lists |
//! | `tone x` | `good`, `bad`, `warn`, `info` or `neutral`, by what an outcome is called |
//! | `badge x "background"` | a colour for that (`text`, `background`) |
//! | `icon x` | a round sign in that colour, for Slack |
//! | `facts x limit=40` | every field of `x`, flattened: a list of `label` and `value` |
//! | `chunk list 10` | a list of lists |
//! | `pad x 20` | filled up with spaces, for plain text |
//! | `url x` | an http(s) address as it is, where an address goes |
//! | `first a b …` | the first that has something |
//! | `choose c "x" "y"` | `x` if `c` is true, else `y`; nothing if `c` is nothing |
//! | `concat a b …` | put together |
//! | `outcome data` | the field that says how it went: a decision, an outcome, a status, a result |
//! | `of100 n` | `88 of 100` |
//! | `sum a b …`, `rule 60` | numbers added up; a line of dashes |

mod dates;
mod facts;
mod logic;
mod outcome;
mod values;

use std::borrow::Cow;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError,
    RenderErrorReason, Renderable, ScopedJson,
};
use serde_json::Value;

use super::escape::{self, Escape};
use super::sources::Format;

pub(super) use outcome::{Tone, outcome, tone};
pub(super) use values::{humanize, show, summary};

/// What a helper was called with.
pub(super) struct Args<'a> {
    all: &'a [Cow<'a, Value>],
    named: &'a [(&'a str, Cow<'a, Value>)],
}

impl<'a> Args<'a> {
    fn all(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.all.iter().map(|value| &**value)
    }

    fn at(&self, index: usize) -> Option<&'a Value> {
        self.all.get(index).map(|value| &**value)
    }

    fn get(&self, index: usize) -> Result<&'a Value, String> {
        self.at(index).ok_or_else(|| format!("parameter {} is needed", index + 1))
    }

    fn text(&self, index: usize) -> Option<&'a str> {
        self.at(index).and_then(Value::as_str)
    }

    fn named(&self, name: &str) -> Option<&'a Value> {
        let (_, value) = self.named.iter().find(|(own, _)| *own == name)?;
        Some(&**value).filter(|value| !value.is_null())
    }

    /// A number of characters or items, by name or at an index.
    fn size(&self, name: &str, index: usize, default: usize) -> usize {
        let given = self.named(name).or_else(|| self.at(index));
        given.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
    }
}

/// Makes a value of its parameters.
type Function = fn(&Args<'_>) -> Result<Value, String>;
/// Gives one of its parameters back, by its index; none is null.
type Choice = fn(&Args<'_>) -> Result<Option<usize>, String>;

#[derive(Clone, Copy)]
enum Kind {
    Makes(Function),
    Picks(Choice),
}

/// A helper: a function of its parameters.
#[derive(Clone, Copy)]
pub(super) struct Known {
    name: &'static str,
    kind: Kind,
    /// Whether a missing field is handed on as null; otherwise it is an error.
    pub(super) lenient: bool,
    /// For a helper whose text is not escaped as others are: how it is.
    pub(super) escape: Option<Escape>,
}

impl PartialEq for Known {
    /// Within one format, a name says which.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Known {
    const fn making((name, function): (&'static str, Function)) -> Self {
        Self { name, kind: Kind::Makes(function), lenient: false, escape: None }
    }

    const fn picking((name, choice): (&'static str, Choice)) -> Self {
        Self { name, kind: Kind::Picks(choice), lenient: false, escape: None }
    }

    const fn lenient(self) -> Self {
        Self { lenient: true, ..self }
    }

    /// Whether it gives something new, not one of its parameters.
    pub(super) fn makes(&self) -> bool {
        matches!(self.kind, Kind::Makes(_))
    }

    /// Whether it is `opt`.
    pub(super) fn is_opt(&self) -> bool {
        self.name == values::OPT
    }

    /// What the helper gives. What it picks is handed on, not copied.
    pub(super) fn call<'a>(
        &self,
        mut all: Vec<Cow<'a, Value>>,
        named: &[(&str, Cow<'a, Value>)],
    ) -> Result<Cow<'a, Value>, String> {
        let args = Args { all: &all, named };
        let fault = |message| format!("{}: {message}", self.name);
        match self.kind {
            Kind::Makes(function) => function(&args).map(Cow::Owned).map_err(fault),
            Kind::Picks(choice) => match choice(&args).map_err(fault)? {
                Some(index) if index < all.len() => Ok(all.swap_remove(index)),
                Some(index) => Err(fault(format!("parameter {} is needed", index + 1))),
                None => Ok(Cow::Owned(Value::Null)),
            },
        }
    }

    /// Called by handlebars.
    fn answer<'a>(&self, helper: &'a Helper<'_>) -> Result<Cow<'a, Value>, RenderError> {
        let (all, named) = (helper.params(), helper.hash());
        if !self.lenient
            && let Some(missing) = all.iter().chain(named.values()).find(|v| v.is_value_missing())
        {
            return Err(RenderError::strict_error(missing.relative_path()));
        }
        let all = all.iter().map(|value| Cow::Borrowed(value.value())).collect();
        let named: Vec<_> =
            named.iter().map(|(name, value)| (*name, Cow::Borrowed(value.value()))).collect();
        self.call(all, &named).map_err(other)
    }
}

impl HelperDef for Known {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        self.answer(h).map(|value| ScopedJson::Derived(value.into_owned()))
    }
}

/// `if` and `unless` that do not let a missing field pass as false.
struct Condition {
    positive: bool,
}

impl HelperDef for Condition {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let param = h.param(0).ok_or_else(|| other("a condition is needed".to_owned()))?;
        if param.is_value_missing() {
            return Err(RenderError::strict_error(param.relative_path()));
        }
        let branch = if holds(param.value()) == self.positive { h.template() } else { h.inverse() };
        branch.map_or(Ok(()), |template| template.render(r, ctx, rc, out))
    }
}

/// A helper whose text is written without the registry's escape, because it has done its own.
struct Raw(Known, Escape);

impl HelperDef for Raw {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let value = self.0.answer(h)?;
        out.write(&(self.1)(value.as_str().unwrap_or_default()))?;
        Ok(())
    }
}

fn other(message: String) -> RenderError {
    RenderErrorReason::Other(message).into()
}

/// Whether a value holds, as a condition.
pub(super) fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(holds) => *holds,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// How text is escaped for where it stands.
pub(super) fn escape_of(format: Format) -> Escape {
    match format {
        Format::Text => escape::text,
        Format::Html => escape::html,
        Format::Slack => escape::slack,
    }
}

/// Our helpers, as templates of this format may call them.
pub(super) fn known(format: Format) -> impl Iterator<Item = (&'static str, Known)> {
    // An address in JSON: an entity for `&` would be part of it.
    let escape = (format == Format::Slack).then_some(escape::json as Escape);
    let url = Known { escape, ..Known::making(("url", values::url)) };
    let date = Known { escape, ..Known::making(("slack_date", dates::slack_date)) };
    let date = (format == Format::Slack).then_some(date);
    let made = values::STRICT.into_iter().chain(outcome::HELPERS);
    let made = made.chain(facts::HELPERS).chain(dates::HELPERS).map(Known::making);
    let picked = values::PICKED.into_iter().map(Known::picking);
    let lenient = values::LENIENT.into_iter().map(|choice| Known::picking(choice).lenient());
    made.chain(picked).chain(lenient).chain([url]).chain(date).map(|known| (known.name, known))
}

/// Handlebars' own helpers that give values, for [`super::program`].
pub(super) fn of_handlebars() -> impl Iterator<Item = (&'static str, Known)> {
    let strict = logic::STRICT.into_iter().map(Known::making);
    let lenient = logic::LENIENT.into_iter().map(|function| Known::making(function).lenient());
    strict.chain(lenient).map(|known| (known.name, known))
}

/// A strict registry with everything that templates of this format may call.
pub(super) fn registry(format: Format) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    let escape = escape_of(format);
    registry.register_escape_fn(move |text| escape(text).into_owned());
    registry.unregister_helper("log");
    registry.register_helper("if", Box::new(Condition { positive: true }));
    registry.register_helper("unless", Box::new(Condition { positive: false }));
    for (name, known) in known(format) {
        let helper: Box<dyn HelperDef + Send + Sync> = match known.escape {
            Some(escape) => Box::new(Raw(known, escape)),
            None => Box::new(known),
        };
        registry.register_helper(name, helper);
    }
    registry
}
