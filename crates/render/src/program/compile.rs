//! From handlebars' tree to steps. What is not known here is none.

use std::collections::HashMap;
use std::sync::LazyLock;

use handlebars::template::{HelperTemplate, Parameter, Template, TemplateElement};
use handlebars::{Path, PathSeg};

use super::{Branches, Expression, LoopValue, Program, Step};
use crate::helpers::{self, Known};
use crate::sources::Format;

/// What templates of each format can call.
static KNOWN: LazyLock<[HashMap<&'static str, Known>; 3]> = LazyLock::new(|| {
    [Format::Text, Format::Html, Format::Slack]
        .map(|format| helpers::known(format).chain(helpers::of_handlebars()).collect())
});

impl Program {
    /// The template as steps; none if it has something that only handlebars knows.
    pub(crate) fn compile(template: &Template, format: Format) -> Option<Self> {
        let mut compiler = Compiler::new(format);
        let steps = compiler.steps(template)?;
        let length = length(&steps);
        let escape = helpers::escape_of(format);
        Some(Self { steps, calls: compiler.calls, paths: compiler.paths, escape, length })
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
        let then = match &block.template {
            Some(template) => Some(self.steps(template)?),
            None => None,
        };
        self.loops -= loops;
        let otherwise = match &block.inverse {
            Some(template) => Some(self.steps(template)?),
            None => None,
        };
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
                Some(if from_root {
                    Expression::Field(place(&mut self.paths, keys))
                } else {
                    Expression::OfItem(keys)
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
