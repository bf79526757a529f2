//! Calls without a field of the event are rendered once, when the template is compiled.
//!
//! Partials are expanded with their parameters in place (see [`super::expand`]), so many calls have
//! only literals: `{{line "Applicant" limit=80}}`. A helper's result depends on its parameters
//! alone, so the text of such a call is the same in every message.

use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use handlebars::{Context, Handlebars, RenderContext, Renderable, Template};

use super::limits::FOLDED;
use super::meter::{Bounded, metered};

/// Replaces each constant call by its text. A call that fails stays in the template. It fails again
/// when the template is rendered, where its line is known.
pub(super) fn fold(template: &mut Template, registry: &Handlebars<'_>) {
    for element in &mut template.elements {
        match element {
            TemplateElement::Expression(call) if is_constant(call) => {
                if let Some(text) = text(element, registry) {
                    *element = TemplateElement::RawString(text);
                }
            }
            TemplateElement::HelperBlock(block) => {
                for branch in [&mut block.template, &mut block.inverse].into_iter().flatten() {
                    fold(branch, registry);
                }
            }
            _ => {}
        }
    }
}

/// Whether it calls a helper with literals only.
fn is_constant(call: &HelperTemplate) -> bool {
    let mut given = call.params.iter().chain(call.hash.values()).peekable();
    given.peek().is_some() && given.all(is_literal)
}

fn is_literal(given: &Parameter) -> bool {
    match given {
        Parameter::Literal(_) => true,
        Parameter::Subexpression(inner) => match &*inner.element {
            TemplateElement::Expression(call) => is_constant(call),
            _ => false,
        },
        _ => false,
    }
}

fn text(element: &TemplateElement, registry: &Handlebars<'_>) -> Option<String> {
    let nothing = Context::null();
    let mut out = Bounded::new(FOLDED.bytes);
    let render = || element.render(registry, &nothing, &mut RenderContext::new(None), &mut out);
    metered(FOLDED, render).0.ok()?;
    Some(out.into_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::helpers::Registry;
    use crate::limits::RENDER;
    use crate::sources::Format;

    /// The text of a template, and how many calls are left in it.
    fn folded(source: &str) -> (String, usize) {
        let registry = Registry::new(Format::Html);
        let registry = registry.handlebars();
        let mut template = Template::compile(source).unwrap();
        let context = Context::wraps(json!({ "name": "Jane" })).unwrap();
        let render = |template: &Template| {
            let render =
                || template.renders(registry, &context, &mut RenderContext::new(None)).ok();
            metered(RENDER, render).0
        };
        let before = render(&template);
        fold(&mut template, registry);
        assert_eq!(render(&template), before, "{source}");
        let calls = |element: &&TemplateElement| matches!(element, TemplateElement::Expression(_));
        (before.unwrap_or_default(), template.elements.iter().filter(calls).count())
    }

    #[test]
    fn a_call_with_literals_is_rendered_once() {
        let (text, calls) = folded("{{line \"A & B\" limit=80}}: {{upper (concat \"x\" \"y\")}}");
        assert_eq!((text.as_str(), calls), ("A &amp; B: XY", 0));
    }

    #[test]
    fn a_call_with_a_field_is_rendered_for_each_event() {
        assert_eq!(folded("{{line name}} {{upper (concat name \"y\")}}").1, 2);
        assert_eq!(folded("{{name}}").1, 1);
    }

    #[test]
    fn a_call_that_fails_stays_and_fails() {
        assert_eq!(folded("{{url \"no address\"}}"), (String::new(), 1));
    }
}
