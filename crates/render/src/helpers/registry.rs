//! The helpers of each format, in a strict registry.

use std::collections::HashSet;

use handlebars::{Handlebars, HelperDef};

use super::args::Function;
use super::blocks::{Condition, Each, With};
use super::calls::{Css, Escaped, Pure, Reads, Select, Show, Steps};
use super::logic::{Lookup, TESTS, Tester};
use super::{choice, dates, facts, lists, numbers, outcome, text};
use crate::escape::{self, Escape};
use crate::sources::Format;

/// The helper that shows a path's value. No template can name it, because names have no spaces.
pub(crate) const SHOW: &str = "show value";
/// The helper that counts steps.
pub(crate) const STEPS: &str = "count steps";
/// The helpers for values in CSS, and inside of strings in CSS. [`crate::mjml`] writes them into the
/// HTML.
pub(crate) const CSS_VALUE: &str = "$css:value";
pub(crate) const CSS_STRING: &str = "$css:string";

/// The helpers of one format.
pub(crate) struct Registry {
    handlebars: Handlebars<'static>,
    names: HashSet<&'static str>,
}

impl Registry {
    /// A strict registry with everything that templates of this format can call.
    pub(crate) fn new(format: Format) -> Self {
        let escape: Escape = match format {
            Format::Text => escape::text,
            Format::Html => escape::html,
            Format::Slack => escape::slack,
        };
        let mut handlebars = Handlebars::new();
        handlebars.set_strict_mode(true);
        handlebars.register_escape_fn(move |text| escape(text).into_owned());
        handlebars.unregister_helper("log");
        let mut registry = Self { handlebars, names: HashSet::from(["raw"]) };
        registry.add_blocks(escape);
        registry.add_functions();
        registry.add_url(format);
        if format == Format::Html {
            registry.add(CSS_VALUE, Css(escape::css_value, escape));
            registry.add(CSS_STRING, Css(escape::css_string, escape));
        }
        registry
    }

    /// What handlebars renders with.
    pub(crate) fn handlebars(&self) -> &Handlebars<'static> {
        &self.handlebars
    }

    /// Whether there is a helper of this name. Otherwise the name is a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    fn add(&mut self, name: &'static str, helper: impl HelperDef + Send + Sync + 'static) {
        self.handlebars.register_helper(name, Box::new(helper));
        self.names.insert(name);
    }

    fn add_blocks(&mut self, escape: Escape) {
        self.add("if", Condition { positive: true });
        self.add("unless", Condition { positive: false });
        self.add("each", Each);
        self.add("with", With);
        self.add("lookup", Lookup);
        for &(name, test) in TESTS {
            self.add(name, Tester(name, test));
        }
        self.add(SHOW, Show(escape));
        self.add(STEPS, Steps);
    }

    fn add_functions(&mut self) {
        let all = [text::HELPERS, numbers::HELPERS, lists::HELPERS, dates::HELPERS, facts::HELPERS];
        for &(name, function) in all.into_iter().flatten() {
            self.add(name, Pure { name, function, reads: Reads::All });
        }
        for &(name, function) in [outcome::HELPERS, choice::TESTS].into_iter().flatten() {
            self.add(name, Pure { name, function, reads: Reads::Little });
        }
        for &(name, selector) in choice::OPTIONAL {
            self.add(name, Select { name, selector, optional: true });
        }
        for &(name, selector) in choice::SELECTORS {
            self.add(name, Select { name, selector, optional: false });
        }
    }

    fn add_url(&mut self, format: Format) {
        let pure = |name, function: Function| Pure { name, function, reads: Reads::All };
        let url = pure("url", text::url);
        if format == Format::Slack {
            // An address in JSON is not shown text: an entity for `&` would become part of it.
            let date = pure("slack_date", dates::slack_date);
            self.add("url", Escaped(url, escape::json));
            self.add("slack_date", Escaped(date, escape::json));
        } else {
            self.add("url", url);
        }
    }
}
