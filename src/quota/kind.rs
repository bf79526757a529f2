//! The quotas by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is limited for each tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// Events per second at ingest, of all keys together.
    EventsPerSecond,
    /// Bytes per second at ingest, of all keys together.
    BytesPerSecond,
    /// Bytes of events in the store.
    StoredBytes,
    /// Deliveries in the queues.
    WaitingDeliveries,
    /// Destinations in the document.
    Destinations,
    /// Routes in the document.
    Routes,
    /// API keys that have not expired.
    Keys,
    /// Values in the filters of all routes.
    FilterValues,
    /// Bytes of all templates.
    TemplateBytes,
}

impl Quota {
    /// All quotas, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::EventsPerSecond,
        Self::BytesPerSecond,
        Self::StoredBytes,
        Self::WaitingDeliveries,
        Self::Destinations,
        Self::Routes,
        Self::Keys,
        Self::FilterValues,
        Self::TemplateBytes,
    ];

    /// The name in settings, files, requests and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventsPerSecond => "events_per_second",
            Self::BytesPerSecond => "bytes_per_second",
            Self::StoredBytes => "stored_bytes",
            Self::WaitingDeliveries => "waiting_deliveries",
            Self::Destinations => "destinations",
            Self::Routes => "routes",
            Self::Keys => "keys",
            Self::FilterValues => "filter_values",
            Self::TemplateBytes => "template_bytes",
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|quota| quota.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is not a quota; use one of: {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_has_one_name_everywhere() {
        for (place, quota) in Quota::ALL.into_iter().enumerate() {
            assert_eq!(quota as usize, place);
            assert_eq!(quota.name().parse(), Ok(quota));
            assert_eq!(serde_json::to_value(quota).unwrap(), quota.name());
        }
    }
}
