//! Makes a parsed template count its steps while it is rendered.
//!
//! The content of each block gets a step counter in front, with what it costs to go through it
//! once. Values of the event that are shown directly go through a helper, which charges for their
//! size. See [`super::meter`].

use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, Template};
use serde_json::json;

use super::helpers::{Registry, SHOW, STEPS};
use super::meter::text_steps;

/// Going through one element.
const ELEMENT: u64 = 1;
/// Calling one helper.
const CALL: u64 = 3;
/// Entering a block's content: handlebars sets its variables.
const ENTER: u64 = 3;

/// What a part of a template costs: steps, and lookups, whose cost depends on the blocks around them.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    steps: u64,
    lookups: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.steps = self.steps.saturating_add(other.steps);
        self.lookups = self.lookups.saturating_add(other.lookups);
    }
}

/// Puts the counters in place. The error is the number of the first element with something that
/// templates cannot use, which only a disagreement with handlebars about where an expression ends
/// could let through.
pub(super) fn instrument(template: &mut Template, registry: &Registry) -> Result<(), usize> {
    let counter = Template::compile("{{steps 0 0}}").map_err(|_| 0_usize)?;
    let Some(TemplateElement::Expression(counter)) = counter.elements.into_iter().next() else {
        return Err(0);
    };
    body(template, registry, &counter)
}

fn body(
    template: &mut Template,
    registry: &Registry,
    counter: &HelperTemplate,
) -> Result<(), usize> {
    let mut cost = Cost { steps: ENTER, lookups: 0 };
    for (at, element) in template.elements.iter_mut().enumerate() {
        cost.steps += ELEMENT;
        match element {
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            TemplateElement::Expression(expression) => {
                show(expression, registry);
                cost += call(expression);
            }
            TemplateElement::HelperBlock(block) => {
                cost += call(block);
                for branch in [&mut block.template, &mut block.inverse].into_iter().flatten() {
                    body(branch, registry, counter).map_err(|_| at)?;
                }
            }
            _ => return Err(at),
        }
    }
    let mut counter = counter.clone();
    counter.name = Parameter::Name(STEPS.to_owned());
    counter.params = [cost.steps, cost.lookups].map(|n| Parameter::Literal(json!(n))).into();
    template.elements.insert(0, TemplateElement::Expression(Box::new(counter)));
    if let Some(first) = template.mapping.first().cloned() {
        template.mapping.insert(0, first);
    }
    Ok(())
}

/// Turns `{{data.x}}` into a call of the helper that shows a value.
fn show(expression: &mut HelperTemplate, registry: &Registry) {
    let is_value = matches!(&expression.name, Parameter::Path(path) if !registry.has(raw(path)));
    if is_value && expression.params.is_empty() && expression.hash.is_empty() {
        let value = std::mem::replace(&mut expression.name, Parameter::Name(SHOW.to_owned()));
        expression.params.push(value);
    }
}

fn raw(path: &Path) -> &str {
    match path {
        Path::Relative((_, raw)) | Path::Local((_, _, raw)) => raw,
    }
}

fn call(call: &HelperTemplate) -> Cost {
    let mut cost = Cost { steps: CALL, lookups: 0 };
    if matches!(call.name, Parameter::Subexpression(_)) {
        // Handlebars evaluates such a name twice.
        cost += parameter(&call.name);
        cost += parameter(&call.name);
    }
    for given in call.params.iter().chain(call.hash.values()) {
        cost += parameter(given);
    }
    cost
}

fn parameter(given: &Parameter) -> Cost {
    match given {
        Parameter::Path(Path::Relative((segments, raw))) => {
            Cost { steps: segments.len() as u64 / 4 + text_steps(raw.len()), lookups: 1 }
        }
        Parameter::Path(Path::Local((_, _, raw))) => {
            Cost { steps: 1 + text_steps(raw.len()), lookups: 0 }
        }
        Parameter::Subexpression(inner) => match inner.as_element() {
            TemplateElement::Expression(inner) => call(inner),
            _ => Cost { steps: CALL, lookups: 0 },
        },
        _ => Cost { steps: 1, lookups: 0 },
    }
}
