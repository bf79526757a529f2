//! What the templates promise.

mod all_templates;
