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
mod outcome;
mod values;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, PathAndJson, RenderContext,
    RenderError, RenderErrorReason, Renderable, ScopedJson,
};
use serde_json::Value;

use super::escape;
use super::sources::Format;

pub(super) use outcome::{Tone, outcome, tone};
pub(super) use values::{humanize, show, summary};

/// What a helper was called with.
pub(super) struct Args<'a>(&'a Helper<'a>);

impl<'a> Args<'a> {
    /// What was called, unless a field that it needs is missing.
    fn strict(helper: &'a Helper<'a>) -> Result<Self, RenderError> {
        let mut all = helper.params().iter().chain(helper.hash().values());
        match all.find(|value| value.is_value_missing()) {
            Some(missing) => Err(RenderError::strict_error(missing.relative_path())),
            None => Ok(Self(helper)),
        }
    }

    fn all(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.0.params().iter().map(PathAndJson::value)
    }

    fn at(&self, index: usize) -> Option<&'a Value> {
        self.0.param(index).map(PathAndJson::value)
    }

    fn get(&self, index: usize) -> Result<&'a Value, String> {
        self.at(index).ok_or_else(|| format!("parameter {} is needed", index + 1))
    }

    fn text(&self, index: usize) -> Option<&'a str> {
        self.at(index).and_then(Value::as_str)
    }

    fn named(&self, name: &str) -> Option<&'a Value> {
        self.0.hash_get(name).map(PathAndJson::value).filter(|value| !value.is_null())
    }

    /// A number of characters or items, by name or at an index.
    fn size(&self, name: &str, index: usize, default: usize) -> usize {
        let given = self.named(name).or_else(|| self.at(index));
        given.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
    }
}

type Function = fn(&Args<'_>) -> Result<Value, String>;

/// A helper that is a function of its parameters.
struct Pure {
    name: &'static str,
    function: Function,
    /// Whether a missing field is handed on as null; otherwise it is an error.
    lenient: bool,
}

impl HelperDef for Pure {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let args = if self.lenient { Args(h) } else { Args::strict(h)? };
        (self.function)(&args)
            .map(ScopedJson::Derived)
            .map_err(|message| other(format!("{}: {message}", self.name)))
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
        let holds = match param.value() {
            Value::Null => false,
            Value::Bool(holds) => *holds,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
        };
        let branch = if holds == self.positive { h.template() } else { h.inverse() };
        branch.map_or(Ok(()), |template| template.render(r, ctx, rc, out))
    }
}

/// A helper whose text is written without the registry's escape, because it has done its own.
struct Raw {
    name: &'static str,
    function: Function,
    escape: fn(&str) -> String,
}

impl HelperDef for Raw {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let args = Args::strict(h)?;
        let value =
            (self.function)(&args).map_err(|message| other(format!("{}: {message}", self.name)))?;
        out.write(&(self.escape)(value.as_str().unwrap_or_default()))?;
        Ok(())
    }
}

fn other(message: String) -> RenderError {
    RenderErrorReason::Other(message).into()
}

/// A strict registry with everything that templates of this format may call.
pub(super) fn registry(format: Format) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_escape_fn(match format {
        Format::Text => escape::text,
        Format::Html => escape::html,
        Format::Slack => escape::slack,
    });
    registry.unregister_helper("log");
    registry.register_helper("if", Box::new(Condition { positive: true }));
    registry.register_helper("unless", Box::new(Condition { positive: false }));
    for (name, function) in values::LENIENT {
        registry.register_helper(name, Box::new(Pure { name, function, lenient: true }));
    }
    for (name, function) in values::STRICT
        .into_iter()
        .chain(outcome::HELPERS)
        .chain(facts::HELPERS)
        .chain(dates::HELPERS)
    {
        registry.register_helper(name, Box::new(Pure { name, function, lenient: false }));
    }
    let url: Box<dyn HelperDef + Send + Sync> = match format {
        // An address in JSON: an entity for `&` would be part of it.
        Format::Slack => Box::new(Raw { name: "url", function: values::url, escape: escape::json }),
        _ => Box::new(Pure { name: "url", function: values::url, lenient: false }),
    };
    registry.register_helper("url", url);
    if format == Format::Slack {
        let function = dates::slack_date;
        let date = Raw { name: "slack_date", function, escape: escape::json };
        registry.register_helper("slack_date", Box::new(date));
    }
    registry
}
