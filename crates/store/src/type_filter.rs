//! Which event types a query is about.

use std::fmt;
use std::sync::Arc;

/// Selects event types, for example by a pattern. The store does not know patterns.
#[derive(Clone)]
pub struct TypeFilter(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl TypeFilter {
    /// Selects the types for which `matches` is true.
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(matches))
    }

    /// Selects this type.
    pub fn exactly(kind: impl Into<String>) -> Self {
        let wanted = kind.into();
        Self::new(move |kind| kind == wanted)
    }

    /// Whether this type is selected.
    pub fn selects(&self, kind: &str) -> bool {
        (self.0)(kind)
    }
}

/// The type with this name.
impl From<&str> for TypeFilter {
    fn from(kind: &str) -> Self {
        Self::exactly(kind)
    }
}

impl fmt::Debug for TypeFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypeFilter")
    }
}
