//! What is wrong with a tenant's document, in the words of whoever sent a part of it.

use super::answer::{ApiError, Detail};
use crate::tenant::Problem;

/// Which part of the document a request is about: how problems there are called in its body.
pub(super) struct Part {
    /// The place as [`Problem::place`] has it: `destination "support"`; empty for none.
    pub(super) place: String,
    /// What stands before the fields of the place in the request's body.
    pub(super) prefix: &'static str,
    /// Fields of the place that stand in the body without the prefix.
    pub(super) bare: &'static [&'static str],
}

impl Part {
    /// None in particular.
    pub(super) const NONE: Self = Self { place: String::new(), prefix: "", bare: &[] };

    /// All problems at once.
    pub(super) fn refuse(&self, problems: Vec<Problem>) -> ApiError {
        ApiError::fields(problems.into_iter().map(|problem| self.detail(problem)).collect())
    }

    fn detail(&self, problem: Problem) -> Detail {
        if !self.place.is_empty() && problem.place.starts_with(&self.place) {
            let bare = self.bare.contains(&problem.field.as_str());
            let field = if bare || problem.field.is_empty() {
                problem.field
            } else {
                format!("{}{}", self.prefix, problem.field)
            };
            return Detail::new(field, problem.message);
        }
        let field = if problem.field.is_empty() {
            problem.place
        } else {
            format!("{}, {}", problem.place, problem.field)
        };
        Detail::new(field, problem.message)
    }
}
