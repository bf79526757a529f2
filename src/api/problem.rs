//! Translates problems of a tenant's document into field errors of the request that caused them.

use super::answer::{ApiError, Detail};
use crate::tenant::Problem;

/// The part of a document that a request changes, and how its fields are named in the request's
/// body.
pub(super) struct DocumentPart {
    /// The place as in [`Problem::place`], such as `destination "support"`. Empty for the whole
    /// document.
    pub(super) place: String,
    /// Precedes the place's fields in the body, such as `settings.`.
    pub(super) prefix: &'static str,
    /// The place's fields that have no prefix in the body.
    pub(super) bare: &'static [&'static str],
}

impl DocumentPart {
    /// The whole document.
    pub(super) const WHOLE: Self = Self { place: String::new(), prefix: "", bare: &[] };

    /// Reports all problems at once.
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
