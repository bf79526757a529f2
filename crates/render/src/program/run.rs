//! From steps to text.

use std::borrow::Cow;
use std::cell::OnceCell;

use handlebars::JsonRender as _;
use serde_json::Value;

use super::{Branches, Expression, LoopValue, Program, Step};
use crate::helpers::holds;

/// Handlebars is to be asked.
#[derive(Debug)]
struct GivesUp;

impl Program {
    /// The text; none if handlebars is to be asked what it says.
    pub(crate) fn run(&self, context: &Value) -> Option<String> {
        let mut out = String::with_capacity(self.length + self.length / 4 + 256);
        let run = Run {
            program: self,
            root: context,
            made: self.calls.iter().map(|_| OnceCell::new()).collect(),
            found: self.paths.iter().map(|_| OnceCell::new()).collect(),
        };
        let scope = Scope { run: &run, this: context, at: None };
        self.steps(&self.steps, &scope, &mut out).ok()?;
        Some(out)
    }

    fn steps(
        &self,
        steps: &[Step],
        scope: &Scope<'_, '_>,
        out: &mut String,
    ) -> Result<(), GivesUp> {
        for step in steps {
            match step {
                Step::Text(text) => out.push_str(text),
                Step::Show(expression) => match &*expression.value(scope)?.ok_or(GivesUp)? {
                    Value::String(text) => out.push_str(&(self.escape)(text)),
                    other => out.push_str(&(self.escape)(&other.render())),
                },
                Step::ShowAs(escape, expression) => {
                    let value = expression.value(scope)?.ok_or(GivesUp)?;
                    out.push_str(&escape(value.as_str().unwrap_or_default()));
                }
                Step::If(condition, branches) => {
                    let holds = holds(&*condition.value(scope)?.ok_or(GivesUp)?);
                    let taken =
                        if holds { Some(&branches.then) } else { branches.otherwise.as_ref() };
                    self.steps(taken.map_or(&[], Vec::as_slice), scope, out)?;
                }
                Step::Each(list, branches) => self.each(list, branches, scope, out)?,
            }
        }
        Ok(())
    }

    fn each(
        &self,
        list: &Expression,
        branches: &Branches,
        scope: &Scope<'_, '_>,
        out: &mut String,
    ) -> Result<(), GivesUp> {
        let list = list.value(scope)?.unwrap_or(Cow::Owned(Value::Null));
        let mut item = |key: Option<&str>, index, count, this: &Value| {
            let at = Some(At { key, index, count });
            self.steps(&branches.then, &Scope { this, at, ..*scope }, out)
        };
        match (&*list, &branches.otherwise) {
            (Value::Array(items), otherwise) if !items.is_empty() || otherwise.is_none() => {
                let count = items.len();
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, value)| item(None, index, count, value))
            }
            (Value::Object(fields), otherwise) if !fields.is_empty() || otherwise.is_none() => {
                let count = fields.len();
                let mut fields = fields.iter().enumerate();
                fields.try_for_each(|(index, (key, value))| item(Some(key), index, count, value))
            }
            (_, Some(otherwise)) => self.steps(otherwise, scope, out),
            (_, None) => Err(GivesUp),
        }
    }
}

/// What is known already of one message.
struct Run<'r> {
    program: &'r Program,
    root: &'r Value,
    /// What the program's calls gave.
    made: Vec<OnceCell<Value>>,
    /// What its paths led to.
    found: Vec<OnceCell<Option<&'r Value>>>,
}

impl<'r> Run<'r> {
    fn made(&self, index: usize) -> Result<&Value, GivesUp> {
        if let Some(value) = self.made[index].get() {
            return Ok(value);
        }
        let scope = Scope { run: self, this: self.root, at: None };
        let value = self.program.calls[index].value(&scope)?.ok_or(GivesUp)?.into_owned();
        Ok(self.made[index].get_or_init(|| value))
    }

    fn field(&self, index: usize) -> Result<Option<&'r Value>, GivesUp> {
        if let Some(found) = self.found[index].get() {
            return Ok(*found);
        }
        let found = field(self.root, &self.program.paths[index])?;
        Ok(*self.found[index].get_or_init(|| found))
    }
}

/// Where an expression stands.
#[derive(Clone, Copy)]
struct Scope<'a, 'r> {
    run: &'a Run<'r>,
    /// The item of the innermost loop, or the root.
    this: &'a Value,
    /// Where in that loop.
    at: Option<At<'a>>,
}

#[derive(Clone, Copy)]
struct At<'a> {
    key: Option<&'a str>,
    index: usize,
    count: usize,
}

impl Expression {
    /// The value; none if a field of the event is missing.
    fn value<'a>(&'a self, scope: &Scope<'a, '_>) -> Result<Option<Cow<'a, Value>>, GivesUp> {
        match self {
            Self::Constant(value) => Ok(Some(Cow::Borrowed(value))),
            Self::Field(index) => Ok(scope.run.field(*index)?.map(Cow::Borrowed)),
            Self::OfItem(keys) => Ok(field(scope.this, keys)?.map(Cow::Borrowed)),
            Self::Loop(value) => Ok(scope.at.and_then(|at| value.of(at)).map(Cow::Owned)),
            Self::Optional(inner) => {
                Ok(Some(inner.value(scope)?.unwrap_or(Cow::Owned(Value::Null))))
            }
            Self::Made(index) => scope.run.made(*index).map(|value| Some(Cow::Borrowed(value))),
            Self::Call { known, all, named } => {
                let given = |parameter: &'a Self| match parameter.value(scope)? {
                    Some(value) => Ok(value),
                    None if known.lenient => Ok(Cow::Owned(Value::Null)),
                    None => Err(GivesUp),
                };
                let all = all.iter().map(given).collect::<Result<Vec<_>, _>>()?;
                let named = named.iter().map(|(name, value)| Ok((name.as_str(), given(value)?)));
                let named = named.collect::<Result<Vec<_>, _>>()?;
                known.call(all, &named).map(Some).map_err(|_| GivesUp)
            }
        }
    }
}

fn field<'a>(base: &'a Value, keys: &[String]) -> Result<Option<&'a Value>, GivesUp> {
    let mut value = base;
    for key in keys {
        let next = match value {
            Value::Object(fields) => fields.get(key),
            Value::Array(items) => items.get(key.parse::<usize>().map_err(|_| GivesUp)?),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

impl LoopValue {
    fn of(self, at: At<'_>) -> Option<Value> {
        match self {
            Self::Key => at.key.map(Value::from),
            Self::Index => Some(at.index.into()),
            Self::First => Some((at.index == 0).into()),
            Self::Last => Some((at.index + 1 == at.count).into()),
        }
    }
}
