//! Path parameters that several resources share.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
}

/// A tenant's id in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter; handlers get it as their scope")]
pub(super) struct TenantPath {
    /// The tenant's id. `me` is the tenant of your key.
    #[param(pattern = "^[a-z0-9_-]{1,64}$", example = "acme")]
    tenant: String,
}

macro_rules! paths {
    ($($name:ident, $field:ident, $what:literal, $example:literal;)*) => {$(
        #[doc = $what]
        #[derive(IntoParams)]
        #[into_params(parameter_in = Path)]
        #[expect(dead_code, reason = "describes parameters; handlers take them by position")]
        pub(super) struct $name {
            /// The tenant's id. `me` is the tenant of your key.
            #[param(pattern = "^[a-z0-9_-]{1,64}$", example = "acme")]
            tenant: String,
            #[doc = $what]
            #[param(pattern = "^[!-.0-~]+$", max_length = 256, example = $example)]
            $field: String,
        }
    )*};
}

paths! {
    DestinationPath, destination, "The destination's id.", "backoffice";
    DeliveryPath, delivery, "The delivery's id.", "dlv_evt_04flagged.backoffice";
    EventIdPath, event, "The event's id.", "evt_04flagged";
    SuppressionPath, suppression, "The suppression's id: that of a destination or of one of its recipients.", "desk~4f2a90";
    RoutePath, route, "The route's id.", "rte_5d41402abc";
    KeyPath, key, "The key's id.", "key_4kQ0v8xT2mZr7Lw1Yc9b";
}
