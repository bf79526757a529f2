//! What producers may send: every valid event, except those that could pass for Fanfare's own.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::Event;

use super::decode::{Fill, decode};
use super::id::is_own_id;
use super::limits::Limits;
use super::refusal::Refusal;

/// The prefix of the types of events that Fanfare itself creates.
pub const OWN_TYPES: &str = "fanfare.";

/// Accepts an event from a producer. Like [`decode()`], but refuses types and ids that only Fanfare
/// itself may use, because routes and people rely on them.
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
            "`type` begins with `fanfare.`, which is reserved for Fanfare's own events; use another \
                         prefix, for example \"kyc.session.created\"",
        ));
    }
    if is_own_id(&event.id) {
        return Err(Refusal::new(
            "reserved_id",
            "`id` has a form that is reserved for Fanfare's own events (evt_dead_…, evt_disabled_…); \
                         use another id, or omit it to get a generated one",
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
    fn reserved_types_are_refused() {
        for kind in ["fanfare.delivery.dead", "fanfare.destination.disabled", "fanfare.x"] {
            let body = format!(r#"{{"type":"{kind}","data":{{}}}}"#);
            assert_eq!(accepted(&body).unwrap_err(), "reserved_type", "{kind}");
        }
        // Also with escapes in the JSON.
        let spelt = r#"{"type":"fan\u0066are.delivery.dead","data":{}}"#;
        assert_eq!(accepted(spelt).unwrap_err(), "reserved_type");
        for kind in ["fanfare", "fanfares.x", "x.fanfare.y", "Fanfare.x"] {
            assert!(accepted(&format!(r#"{{"type":"{kind}","data":{{}}}}"#)).is_ok(), "{kind}");
        }
    }

    #[test]
    fn reserved_ids_are_refused() {
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
