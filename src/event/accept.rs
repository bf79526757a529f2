//! What producers may send: everything that decodes, but what would pass for the router's own.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::Event;

use super::id::is_own_id;
use super::{Fill, Limits, Refusal, decode};

/// Types that begin so are of events that the router itself makes.
pub const OWN_TYPES: &str = "fanfare.";

/// Takes one event in from a producer, whichever way it comes: as [`decode()`], and refuses what only
/// the router may say, for routes and people rely on it.
pub fn accept(
    tenant: &Arc<str>,
    raw: Bytes,
    limits: Limits,
    fill: &Fill<'_>,
) -> Result<Event, Refusal> {
    let event = decode(tenant, raw, limits, fill)?;
    if event.kind.starts_with(OWN_TYPES) {
        return Err(Refusal::new(
            "reserved_type",
            "`type` begins with `fanfare.`, which is kept for events that Fanfare itself makes; \
             choose another first word, for example \"kyc.session.created\"",
        ));
    }
    if is_own_id(&event.id) {
        return Err(Refusal::new(
            "reserved_id",
            "`id` looks like those of events that Fanfare itself makes (evt_dead_…, \
             evt_disabled_…); choose another, or leave it out to have one made",
        ));
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::own_event_id;

    fn accepted(body: &str) -> Result<Event, &'static str> {
        let fill = Fill { id: &|| "evt_made".to_owned(), received_ms: 1 };
        accept(&"acme".into(), body.to_owned().into(), Limits::default(), &fill)
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn what_only_the_router_may_say_is_refused() {
        for kind in ["fanfare.delivery.dead", "fanfare.destination.disabled", "fanfare.x"] {
            let body = format!(r#"{{"type":"{kind}","data":{{}}}}"#);
            assert_eq!(accepted(&body).unwrap_err(), "reserved_type", "{kind}");
        }
        // However it is spelt in JSON.
        let spelt = r#"{"type":"fan\u0066are.delivery.dead","data":{}}"#;
        assert_eq!(accepted(spelt).unwrap_err(), "reserved_type");
        for kind in ["fanfare", "fanfares.x", "x.fanfare.y", "Fanfare.x"] {
            assert!(accepted(&format!(r#"{{"type":"{kind}","data":{{}}}}"#)).is_ok(), "{kind}");
        }
    }

    #[test]
    fn nobody_takes_the_id_of_a_notice_before_it_is_made() {
        let of = |id: &str| accepted(&format!(r#"{{"id":"{id}","type":"a","data":{{}}}}"#));
        let own = own_event_id("dead", &["acme", "dlv_evt_1.hooks"]);
        assert_eq!(of(&own).unwrap_err(), "reserved_id");
        let own = own_event_id("disabled", &["acme", "hooks", "7"]);
        assert_eq!(of(&own).unwrap_err(), "reserved_id");
        for id in ["evt_dead_1", "evt_dead_end", "evt_14dead", "evt_disabled_session"] {
            assert!(of(id).is_ok(), "{id}");
        }
    }
}
