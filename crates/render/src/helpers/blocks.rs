//! Blocks: `if`, `unless`, `each`, and `with`, as handlebars defines them, but metered, and with a
//! missing field as an error.

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, JsonTruthy,
    Output, PathAndJson, RenderContext, RenderError, RenderErrorReason, Renderable,
};
use serde_json::Value;

use super::calls::{Reads, charge_parameters, error, is_copy};
use super::written;
use crate::meter::{charge, charge_value, text_steps, within};

/// `if` and `unless`, but a missing field is an error. Handlebars' own take it as false.
pub(super) struct Condition {
    pub(super) positive: bool,
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
        charge_parameters(h, Reads::Little)?;
        let branch = if holds(param.value()) == self.positive { h.template() } else { h.inverse() };
        branch.map_or(Ok(()), |template| template.render(r, ctx, rc, out))
    }
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

/// The scope of a block: a path in the context, or a copy of a computed value.
fn scope<'rc>(given: &PathAndJson<'rc>) -> BlockContext<'rc> {
    let mut block = BlockContext::new();
    match given.context_path() {
        Some(path) => block.base_path_mut().clone_from(path),
        None => block.set_base_value(given.value().clone()),
    }
    block
}

/// The branch for a value that a block cannot use.
fn otherwise<'reg: 'rc, 'rc>(
    h: &Helper<'rc>,
    given: &PathAndJson<'rc>,
    r: &'reg Handlebars<'reg>,
    ctx: &'rc Context,
    rc: &mut RenderContext<'reg, 'rc>,
    out: &mut dyn Output,
) -> HelperResult {
    match h.inverse() {
        Some(template) => template.render(r, ctx, rc, out),
        None => Err(RenderError::strict_error(given.relative_path())),
    }
}

/// `each`: a loop over the items of a list or the fields of an object.
pub(super) struct Each;

impl HelperDef for Each {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let given = h.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex("each", 0))?;
        let Some(template) = h.template() else { return Ok(()) };
        charge_parameters(h, Reads::Little)?;
        if is_copy(given) {
            // The block has a copy, and each turn of the loop a copy of its item.
            charge_value(given.value())?;
            charge_value(given.value())?;
        }
        let (keys, items): (Option<Vec<&String>>, Vec<&Value>) = match given.value() {
            Value::Array(items) if !items.is_empty() || h.inverse().is_none() => {
                (None, items.iter().collect())
            }
            Value::Object(fields) if !fields.is_empty() || h.inverse().is_none() => {
                let keys: Vec<_> = fields.keys().collect();
                // Each turn has copies of its key.
                charge(keys.iter().map(|key| 4 * text_steps(key.len())).sum())?;
                (Some(keys), fields.values().collect())
            }
            _ => return otherwise(h, given, r, ctx, rc, out),
        };
        let longest = keys.iter().flatten().map(|key| key.len()).max().unwrap_or_default();
        rc.push_block(scope(given));
        within(given.context_path(), longest, || {
            for (at, item) in items.iter().enumerate() {
                let turn = Turn { at, last: at + 1 == items.len(), item };
                let key = keys.as_ref().map(|keys| keys[at]);
                if let Some(block) = rc.block_mut() {
                    turn.begin(block, h, given.context_path(), key)?;
                }
                template.render(r, ctx, rc, out)?;
            }
            Ok::<_, RenderError>(())
        })?;
        rc.pop_block();
        Ok(())
    }
}

/// One turn of a loop.
struct Turn<'v> {
    at: usize,
    last: bool,
    item: &'v Value,
}

impl Turn<'_> {
    /// Sets the variables of this turn and makes its item the scope.
    fn begin<'rc>(
        &self,
        block: &mut BlockContext<'rc>,
        h: &Helper<'rc>,
        path: Option<&Vec<String>>,
        key: Option<&String>,
    ) -> Result<(), RenderError> {
        let name = key.map_or_else(|| Value::from(self.at), |key| Value::from(key.as_str()));
        block.set_local_var("first", (self.at == 0).into());
        block.set_local_var("last", self.last.into());
        block.set_local_var("index", self.at.into());
        if key.is_some() {
            block.set_local_var("key", name.clone());
        }
        match path {
            Some(path) => {
                let segment = key.cloned().unwrap_or_else(|| self.at.to_string());
                let base = block.base_path_mut();
                if self.at == 0 {
                    base.clone_from(path);
                    base.push(segment);
                } else if let Some(last) = base.last_mut() {
                    *last = segment;
                }
            }
            None => block.set_base_value(self.item.clone()),
        }
        let (value, name_of_key) = match (h.block_param(), h.block_param_pair()) {
            (Some(value), _) => (value, None),
            (None, Some((value, key))) => (value, Some(key)),
            (None, None) => return Ok(()),
        };
        let mut names = BlockParams::new();
        if path.is_some() {
            names.add_path(value, Vec::new())?;
        } else {
            names.add_value(value, self.item.clone())?;
        }
        if let Some(key) = name_of_key {
            names.add_value(key, name)?;
        }
        block.set_block_params(names);
        Ok(())
    }
}

/// `with`: another scope, if there is a value.
pub(super) struct With;

impl HelperDef for With {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let given = h.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex("with", 0))?;
        charge_parameters(h, Reads::Little)?;
        if is_copy(given) {
            charge_value(given.value())?;
        }
        if !given.value().is_truthy(false) {
            return otherwise(h, given, r, ctx, rc, out);
        }
        let mut block = scope(given);
        if let Some(parent) = rc.block() {
            block.local_variables_mut().clone_from(parent.local_variables());
        }
        if let Some(name) = h.block_param() {
            let mut names = BlockParams::new();
            if given.context_path().is_some() {
                names.add_path(name, Vec::new())?;
            } else {
                names.add_value(name, given.value().clone())?;
            }
            block.set_block_params(names);
        }
        rc.push_block(block);
        if let Some(template) = h.template() {
            within(given.context_path(), 0, || template.render(r, ctx, rc, out))?;
        }
        rc.pop_block();
        Ok(())
    }
}
