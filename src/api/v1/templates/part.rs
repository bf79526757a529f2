//! The parts of a message that have a template each.

use fanfare_contract::Part;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A part of a message.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api::v1) enum TemplatePart {
    /// The subject of an email: one line of text.
    Subject,
    /// The HTML of an email, written in MJML.
    Html,
    /// The plain text of an email.
    Text,
    /// A Slack message: JSON with `blocks` and `text`.
    Slack,
}

impl TemplatePart {
    pub(super) const ALL: [Self; 4] = [Self::Subject, Self::Html, Self::Text, Self::Slack];

    pub(super) fn part(self) -> Part {
        match self {
            Self::Subject => Part::Subject,
            Self::Html => Part::Html,
            Self::Text => Part::Text,
            Self::Slack => Part::Slack,
        }
    }

    pub(super) fn of(part: Part) -> Self {
        match part {
            Part::Subject => Self::Subject,
            Part::Html => Self::Html,
            Part::Text => Self::Text,
            Part::Slack => Self::Slack,
        }
    }

    /// Its path in a tenant's document.
    pub(super) fn path(self, kind: &str) -> String {
        match self {
            Self::Subject => format!("email/{kind}/subject.txt.hbs"),
            Self::Html => format!("email/{kind}/body.mjml.hbs"),
            Self::Text => format!("email/{kind}/body.txt.hbs"),
            Self::Slack => format!("slack/{kind}.json.hbs"),
        }
    }
}

/// A template in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters; handlers take them by position")]
pub(in crate::api::v1) struct TemplatePath {
    /// The tenant's id. `me` is the tenant of your key.
    #[param(pattern = "^[a-z0-9_-]{1,64}$", example = "acme")]
    tenant: String,
    /// The event type. `_default` is for types without a template of their own, and `_digest` is
    /// for digests.
    #[param(pattern = "^[!-.0-~]+$", max_length = 128, example = "kyc.session.created")]
    event_type: String,
    /// The part of the message.
    part: TemplatePart,
}
