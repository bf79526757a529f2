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

mod compile;
mod run;

use serde_json::Value;

use super::escape::Escape;
use super::helpers::Known;

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
