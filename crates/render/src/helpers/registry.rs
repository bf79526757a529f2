//! The helpers as handlebars calls them: one strict registry for each format.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, PathAndJson, RenderContext,
    RenderError, RenderErrorReason, Renderable, ScopedJson,
};
use serde_json::Value;

use super::args::{Args, Function};
use super::{choice, dates, facts, lists, numbers, outcome, text, written};
use crate::escape::{self, Escape};
use crate::sources::Format;

/// A strict registry with everything that templates of this format can call.
pub(crate) fn registry(format: Format) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    let escape = match format {
        Format::Text => escape::text,
        Format::Html => escape::html,
        Format::Slack => escape::slack,
    };
    registry.register_escape_fn(move |text| escape(text).into_owned());
    registry.unregister_helper("log");
    registry.register_helper("if", Box::new(Condition { positive: true }));
    registry.register_helper("unless", Box::new(Condition { positive: false }));
    registry.register_helper("eq", Box::new(Equal { positive: true }));
    registry.register_helper("ne", Box::new(Equal { positive: false }));
    let strict = [text::HELPERS, numbers::HELPERS, lists::HELPERS, choice::HELPERS]
        .into_iter()
        .chain([dates::HELPERS, facts::HELPERS, outcome::HELPERS]);
    for &(name, function) in strict.flatten() {
        registry.register_helper(name, Box::new(Pure { name, function, optional: false }));
    }
    for &(name, function) in choice::OPTIONAL {
        registry.register_helper(name, Box::new(Pure { name, function, optional: true }));
    }
    let url = Pure { name: "url", function: text::url, optional: false };
    if format == Format::Slack {
        // An address in JSON is not shown text: an entity for `&` would become part of it.
        let date = Pure { name: "slack_date", function: dates::slack_date, optional: false };
        registry.register_helper("url", Box::new(Escaped(url, escape::json)));
        registry.register_helper("slack_date", Box::new(Escaped(date, escape::json)));
    } else {
        registry.register_helper("url", Box::new(url));
    }
    registry
}

/// A helper that is a function of its parameters.
struct Pure {
    name: &'static str,
    function: Function,
    /// Whether a missing field becomes null. Otherwise it is an error.
    optional: bool,
}

impl Pure {
    fn result(&self, helper: &Helper<'_>) -> Result<Value, RenderError> {
        let mut given = helper.params().iter().chain(helper.hash().values());
        if !self.optional
            && let Some(missing) = given.find(|parameter| parameter.is_value_missing())
        {
            return Err(RenderError::strict_error(missing.relative_path()));
        }
        let result = (self.function)(&Args(helper));
        result.map_err(|message| error(format!("`{}`: {message}", self.name)))
    }
}

impl HelperDef for Pure {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        self.result(h).map(ScopedJson::Derived)
    }
}

/// A helper with its own escape instead of the registry's.
struct Escaped(Pure, Escape);

impl HelperDef for Escaped {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let value = self.0.result(h)?;
        out.write(&(self.1)(value.as_str().unwrap_or_default()))?;
        Ok(())
    }
}

/// `if` and `unless`, but a missing field is an error. Handlebars' own take it as false.
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
        let param = h.param(0).ok_or_else(|| {
            let name = if self.positive { "if" } else { "unless" };
            error(format!("`{name}` has no condition; write `{{{{#{name} (has data.x)}}}}`"))
        })?;
        if param.is_value_missing() {
            return Err(RenderError::strict_error(param.relative_path()));
        }
        let branch = if holds(param.value()) == self.positive { h.template() } else { h.inverse() };
        branch.map_or(Ok(()), |template| template.render(r, ctx, rc, out))
    }
}

/// `eq` and `ne`, for which a number in text equals the same number.
struct Equal {
    positive: bool,
}

impl Equal {
    fn result(&self, h: &Helper<'_>) -> Result<bool, RenderError> {
        let name = if self.positive { "eq" } else { "ne" };
        let value = |index| {
            let param = h.param(index).filter(|param| !param.is_value_missing());
            param.map(PathAndJson::value).ok_or_else(|| {
                RenderError::from(RenderErrorReason::ParamNotFoundForIndex(name, index))
            })
        };
        Ok(written::equal(value(0)?, value(1)?) == self.positive)
    }
}

impl HelperDef for Equal {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let result = self.result(h)?;
        if !h.is_block() {
            return Ok(out.write(if result { "true" } else { "false" })?);
        }
        let branch = if result { h.template() } else { h.inverse() };
        branch.map_or(Ok(()), |template| template.render(r, ctx, rc, out))
    }

    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        Ok(ScopedJson::Derived(self.result(h)?.into()))
    }
}

fn error(message: String) -> RenderError {
    RenderErrorReason::Other(message).into()
}

/// Whether a value is true as a condition.
fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(holds) => *holds,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && written::as_f64(value) != Some(0.0),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}
