//! Helpers that compute or show a value, as handlebars calls them. Each charges for what it reads.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonRender, Output, PathAndJson,
    RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use serde_json::Value;

use super::args::{Args, Function};
use super::choice::{Pick, Selector};
use super::text::show;
use crate::escape::Escape;
use crate::meter::{charge, charge_body, charge_value, lookup, text_steps};

/// How much of its parameters a helper reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Whether there is something, or a few fields.
    Little,
    /// All of it.
    All,
}

/// Charges for the parameters of a call. Handlebars has made copies of those that are not in the
/// context, so these count in full.
pub(super) fn charge_parameters(h: &Helper<'_>, reads: Reads) -> Result<(), RenderError> {
    for given in h.params().iter().chain(h.hash().values()) {
        match given.value() {
            value if reads == Reads::All || is_copy(given) => charge_value(value)?,
            Value::String(text) => charge(text_steps(text.len()))?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether the value was computed, so that handlebars copies it.
pub(super) fn is_copy(given: &PathAndJson<'_>) -> bool {
    given.context_path().is_none() && given.try_get_constant_value().is_none()
}

/// The value of a parameter without a copy, if it is in the context or in the template.
pub(super) fn without_copy<'rc>(
    given: &PathAndJson<'rc>,
    context: &'rc Context,
    rc: &RenderContext<'_, 'rc>,
) -> ScopedJson<'rc> {
    if let Some(constant) = given.try_get_constant_value() {
        return ScopedJson::Constant(constant);
    }
    let path = given.context_path().filter(|_| rc.context().is_none());
    match path.and_then(|path| Some((navigate(context.data(), path)?, path))) {
        Some((value, path)) => ScopedJson::Context(value, path.clone()),
        None => ScopedJson::Derived(given.value().clone()),
    }
}

/// The value at a path.
pub(super) fn navigate<'v>(root: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(root, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    })
}

/// Fails if a parameter is a field that the event does not have.
fn all_present(h: &Helper<'_>) -> Result<(), RenderError> {
    let mut given = h.params().iter().chain(h.hash().values());
    match given.find(|given| given.is_value_missing()) {
        Some(missing) => Err(RenderError::strict_error(missing.relative_path())),
        None => Ok(()),
    }
}

/// An error in the words of a helper.
pub(super) fn error(message: String) -> RenderError {
    RenderErrorReason::Other(message).into()
}

/// A helper that is a function of its parameters.
pub(super) struct Pure {
    pub(super) name: &'static str,
    pub(super) function: Function,
    pub(super) reads: Reads,
}

impl Pure {
    fn result(&self, h: &Helper<'_>) -> Result<Value, RenderError> {
        all_present(h)?;
        charge_parameters(h, self.reads)?;
        (self.function)(&Args(h)).map_err(|message| error(format!("`{}`: {message}", self.name)))
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

/// A helper that returns one of its parameters. A value of the event is not copied.
pub(super) struct Select {
    pub(super) name: &'static str,
    pub(super) selector: Selector,
    /// Whether a missing field becomes null. Otherwise it is an error.
    pub(super) optional: bool,
}

impl HelperDef for Select {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        if !self.optional {
            all_present(h)?;
        }
        charge_parameters(h, Reads::Little)?;
        let picked = (self.selector)(&Args(h))
            .map_err(|message| error(format!("`{}`: {message}", self.name)))?;
        match picked {
            Pick::Null => Ok(ScopedJson::Derived(Value::Null)),
            Pick::Parameter(at) => {
                let given = h.param(at).ok_or_else(|| {
                    error(format!("`{}`: parameter {} is missing; add it", self.name, at + 1))
                })?;
                charge(lookup())?;
                Ok(without_copy(given, context, rc))
            }
        }
    }
}

/// A helper with its own escape instead of the registry's.
pub(super) struct Escaped(pub(super) Pure, pub(super) Escape);

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

/// Shows the value of a path, as handlebars itself does: `{{data.x}}` becomes a call of this.
pub(super) struct Show(pub(super) Escape);

impl HelperDef for Show {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let given = h.param(0).ok_or_else(|| error("there is no value to show".to_owned()))?;
        if given.is_value_missing() {
            return Err(RenderError::strict_error(given.relative_path()));
        }
        charge_parameters(h, Reads::All)?;
        match given.value() {
            Value::String(text) => out.write(&(self.0)(text))?,
            other => out.write(&(self.0)(&other.render()))?,
        }
        Ok(())
    }
}

/// Shows a value inside of a `style` attribute: first the escape of CSS, then that of HTML.
pub(super) struct Css(pub(super) Escape, pub(super) Escape);

impl HelperDef for Css {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        all_present(h)?;
        charge_parameters(h, Reads::All)?;
        let value = Args(h).get(0).map_err(error)?;
        let text = match value {
            Value::String(text) => text.clone(),
            other => show(other),
        };
        out.write(&(self.1)(&(self.0)(&text)))?;
        Ok(())
    }
}

/// Counts the steps of a block's content, which [`crate::instrument`] computed.
pub(super) struct Steps;

impl HelperDef for Steps {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        _: &mut dyn Output,
    ) -> HelperResult {
        let given = |at: usize| h.param(at).and_then(|given| given.value().as_u64()).unwrap_or(1);
        charge_body(given(0), given(1))
    }
}
