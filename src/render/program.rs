//! A template as the steps that make its text: what is left of handlebars when a message is rendered.
//!
//! Handlebars looks every helper up by its name and collects its parameters in maps, in each message
//! anew; with 150 calls in a mail, that was more than half of what sending one cost. Here names are
//! looked up once, and values are handed on instead of copied.
//!
//! Handlebars stays the judge. It parses the templates, and a construct that is not known here leaves
//! the whole template to it. When anything is amiss while rendering (a field is missing, a helper
//! declines), the steps give up, and handlebars renders in their place: what it says is the
//! error, and what it renders is the message. So all that has to be right here is text that comes out
//! without a fault, and the tests compare it with that of handlebars.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use handlebars::template::{HelperTemplate, Parameter, Template, TemplateElement};
use handlebars::{JsonRender as _, Path, PathSeg};
use serde_json::Value;

use super::escape::Escape;
use super::helpers::{self, Known, holds};
use super::sources::Format;

/// What templates of each format can call.
static KNOWN: LazyLock<[HashMap<&'static str, Known>; 3]> = LazyLock::new(|| {
    [Format::Text, Format::Html, Format::Slack]
        .map(|format| helpers::known(format).chain(helpers::of_handlebars()).collect())
});

/// A compiled template.
pub(super) struct Program {
    steps: Vec<Step>,
    /// Calls that give the same wherever they stand: a template asks for most things twice, once
    /// whether they are there. Each is made when it is first needed, and not again.
    calls: Vec<Expression>,
    /// Likewise, fields of the event by their paths.
    paths: Vec<Vec<String>>,
    escape: Escape,
    /// Bytes of all its constant text: about what comes out.
    length: usize,
}

enum Step {
    Text(String),
    Show(Expression),
    /// With an escape of its own.
    ShowAs(Escape, Expression),
    If(Expression, Branches),
    Each(Expression, Branches),
}

struct Branches {
    then: Vec<Step>,
    /// None where the template has no such branch.
    otherwise: Option<Vec<Step>>,
}

#[derive(PartialEq)]
enum Expression {
    Constant(Value),
    /// One of the program's paths.
    Field(usize),
    /// A path from a loop's item.
    OfItem(Vec<String>),
    Loop(LoopValue),
    /// Null if it is missing.
    Optional(Box<Self>),
    /// One of the program's calls.
    Made(usize),
    Call {
        known: Known,
        all: Vec<Self>,
        named: Vec<(String, Self)>,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum LoopValue {
    Key,
    Index,
    First,
    Last,
}

/// Handlebars is to be asked.
#[derive(Debug)]
struct GivesUp;

impl Program {
    /// The template as steps; none if it has something that only handlebars knows.
    pub(super) fn compile(template: &Template, format: Format) -> Option<Self> {
        let mut compiler = Compiler::new(format);
        let steps = compiler.steps(template)?;
        let length = length(&steps);
        let escape = helpers::escape_of(format);
        Some(Self { steps, calls: compiler.calls, paths: compiler.paths, escape, length })
    }

    /// The text; none if handlebars is to be asked what it says.
    pub(super) fn run(&self, context: &Value) -> Option<String> {
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

impl Expression {
    /// Whether nothing in it is of a loop's item.
    fn is_the_same_everywhere(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Made(_) | Self::Field(_) => true,
            Self::OfItem(_) | Self::Loop(_) => false,
            Self::Optional(inner) => inner.is_the_same_everywhere(),
            Self::Call { all, named, .. } => {
                let mut given = all.iter().chain(named.iter().map(|(_, value)| value));
                given.all(Self::is_the_same_everywhere)
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

struct Compiler<'k> {
    known: &'k HashMap<&'static str, Known>,
    calls: Vec<Expression>,
    paths: Vec<Vec<String>>,
    /// How many loops are around what is compiled.
    loops: usize,
}

impl Compiler<'_> {
    fn new(format: Format) -> Self {
        Self { known: &KNOWN[format as usize], calls: Vec::new(), paths: Vec::new(), loops: 0 }
    }

    fn steps(&mut self, template: &Template) -> Option<Vec<Step>> {
        let mut steps = Vec::with_capacity(template.elements.len());
        for element in &template.elements {
            match (element, steps.last_mut()) {
                (TemplateElement::RawString(text), Some(Step::Text(before))) => {
                    before.push_str(text);
                }
                (TemplateElement::RawString(text), _) => steps.push(Step::Text(text.clone())),
                (TemplateElement::Expression(call), _) => steps.push(self.shown(call)?),
                (TemplateElement::HelperBlock(block), _) => steps.push(self.block(block)?),
                (TemplateElement::Comment(_), _) => {}
                _ => return None,
            }
        }
        Some(steps)
    }

    fn shown(&mut self, call: &HelperTemplate) -> Option<Step> {
        let name = call.name.as_name()?;
        if call.params.is_empty() && call.hash.is_empty() && !self.known.contains_key(name) {
            return self.parameter(&call.name).map(Step::Show);
        }
        let escape = self.known.get(name)?.escape;
        let call = self.call(call)?;
        Some(match escape {
            Some(escape) => Step::ShowAs(escape, call),
            None => Step::Show(call),
        })
    }

    fn block(&mut self, block: &HelperTemplate) -> Option<Step> {
        let ([over], true, None) = (&*block.params, block.hash.is_empty(), &block.block_param)
        else {
            return None;
        };
        let over = self.parameter(over)?;
        let name = block.name.as_name()?;
        let loops = usize::from(name == "each");
        self.loops += loops;
        let then = self.branch(block.template.as_ref())?;
        self.loops -= loops;
        let otherwise = self.branch(block.inverse.as_ref())?;
        match name {
            "if" => Some(Step::If(over, Branches { then: then.unwrap_or_default(), otherwise })),
            "unless" => {
                let branches = Branches { then: otherwise.unwrap_or_default(), otherwise: then };
                Some(Step::If(over, branches))
            }
            "each" => Some(Step::Each(over, Branches { then: then?, otherwise })),
            _ => None,
        }
    }

    fn branch(&mut self, template: Option<&Template>) -> Option<Option<Vec<Step>>> {
        match template {
            Some(template) => self.steps(template).map(Some),
            None => Some(None),
        }
    }

    fn call(&mut self, call: &HelperTemplate) -> Option<Expression> {
        let known = *self.known.get(call.name.as_name()?)?;
        let all = call.params.iter().map(|p| self.parameter(p)).collect::<Option<_>>()?;
        let named = call.hash.iter().map(|(name, p)| Some((name.clone(), self.parameter(p)?)));
        let (mut all, named): (Vec<_>, Vec<_>) = (all, named.collect::<Option<_>>()?);
        if known.is_opt() && named.is_empty() && all.len() == 1 {
            return all.pop().map(|inner| Expression::Optional(Box::new(inner)));
        }
        let call = Expression::Call { known, all, named };
        // What is only handed on costs nothing; a loop's item is another each time.
        if !known.makes() || !call.is_the_same_everywhere() {
            return Some(call);
        }
        Some(Expression::Made(place(&mut self.calls, call)))
    }

    fn parameter(&mut self, parameter: &Parameter) -> Option<Expression> {
        match parameter {
            Parameter::Literal(value) => Some(Expression::Constant(value.clone())),
            Parameter::Path(path) => self.path(path),
            Parameter::Subexpression(inner) => match &*inner.element {
                // What a helper with an escape gives within another is text that is escaped already.
                TemplateElement::Expression(call)
                    if self.known.get(call.name.as_name()?)?.escape.is_none() =>
                {
                    self.call(call)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// A path down from the root or from the item of a loop, or what a loop says of its item.
    fn path(&mut self, path: &Path) -> Option<Expression> {
        match path {
            Path::Local((0, name, _)) => match name.as_str() {
                "key" => Some(Expression::Loop(LoopValue::Key)),
                "index" => Some(Expression::Loop(LoopValue::Index)),
                "first" => Some(Expression::Loop(LoopValue::First)),
                "last" => Some(Expression::Loop(LoopValue::Last)),
                _ => None,
            },
            Path::Local(_) => None,
            Path::Relative((segments, raw)) => {
                let (from_root, segments) = match &**segments {
                    [PathSeg::Ruled(_), rest @ ..] if raw.starts_with("@root") => (true, rest),
                    all => (self.loops == 0, all),
                };
                let key = |segment: &PathSeg| match segment {
                    PathSeg::Named(key) => Some(key.clone()),
                    _ => None,
                };
                let keys = segments.iter().map(key).collect::<Option<_>>()?;
                Some(match from_root {
                    true => Expression::Field(place(&mut self.paths, keys)),
                    false => Expression::OfItem(keys),
                })
            }
        }
    }
}

/// Where it is, or is from now on.
fn place<T: PartialEq>(all: &mut Vec<T>, one: T) -> usize {
    all.iter().position(|other| *other == one).unwrap_or_else(|| {
        all.push(one);
        all.len() - 1
    })
}

fn length(steps: &[Step]) -> usize {
    let of = |step: &Step| match step {
        Step::Text(text) => text.len(),
        Step::Show(_) | Step::ShowAs(..) => 0,
        Step::If(_, branches) | Step::Each(_, branches) => {
            length(&branches.then) + branches.otherwise.as_deref().map_or(0, length)
        }
    };
    steps.iter().map(of).sum()
}
