//! From an entry of the log to an event, or a rejection with its reason. Each entry by itself.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::{Environment, Event};

use crate::event::{Fill, Limits, Refusal, accept, tenant_id};
use crate::tenant::Standing;
use fanfare_store::{EntryId, Ms, Rejected};

/// How much of a rejected entry is kept.
const RAW_KEPT: usize = 64 * 1024;

/// Takes raw entries in.
#[derive(Clone, Copy, Debug)]
pub struct Intake {
    /// Bounds on one event.
    pub limits: Limits,
}

impl Intake {
    /// An event from a stream entry's fields `tenant`, `event` and, if there, `environment` and
    /// `traceparent`.
    ///
    /// What the producer left out is derived from the entry's id, so that the same entry makes the
    /// same event again after a crash.
    pub fn take(
        &self,
        entry: EntryId,
        fields: &[(Bytes, Bytes)],
        standing: &dyn Fn(&str) -> Standing,
        now: Ms,
    ) -> Result<Event, Rejected> {
        self.decode(entry, fields, standing)
            .map_err(|refusal| rejected(entry, fields, refusal, now))
    }

    fn decode(
        &self,
        entry: EntryId,
        fields: &[(Bytes, Bytes)],
        standing: &dyn Fn(&str) -> Standing,
    ) -> Result<Event, Refusal> {
        let tenant = field(fields, "tenant").ok_or_else(|| {
            Refusal::new(
                "no_tenant",
                "the entry has no field `tenant`; write XADD fanfare:events * tenant acme event '{…}'",
            )
        })?;
        let tenant = tenant_id(tenant)?;
        match standing(tenant) {
            Standing::Usable => {}
            Standing::Unusable => return Err(unusable(tenant)),
            Standing::Unknown => {
                let message = format!("there is no tenant `{tenant}`; add it with `fanfare apply`");
                return Err(Refusal::new("unknown_tenant", message));
            }
        }
        let event = field(fields, "event").ok_or_else(|| {
            Refusal::new(
                "no_event",
                "the entry has no field `event`; write XADD fanfare:events * tenant acme event '{…}'",
            )
        })?;
        let fill = Fill {
            id: &|| format!("evt_s{}-{}", entry.major, entry.minor),
            received_ms: Ms::try_from(entry.major).unwrap_or(0),
        };
        let event = accept(&Arc::from(tenant), event.clone(), self.limits, &fill)?;
        let environment = environment(field(fields, "environment"))?;
        let trace = field(fields, "traceparent").and_then(trace_parent);
        Ok(event.with_trace(trace).with_environment(environment))
    }
}

/// A word that is neither is refused: to take it for live could send a trial to customers.
fn environment(word: Option<&Bytes>) -> Result<Environment, Refusal> {
    let Some(word) = word else { return Ok(Environment::Live) };
    let parsed = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    parsed.ok_or_else(|| {
        Refusal::new("bad_environment", "the field `environment` must be `live` or `test`")
    })
}

fn field<'a>(fields: &'a [(Bytes, Bytes)], name: &str) -> Option<&'a Bytes> {
    fields.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value)
}

/// A W3C `traceparent`, if it is one: `00-<32 hex>-<16 hex>-<2 hex>`. Anything else is dropped, as
/// the recommendation says.
pub(crate) fn trace_parent(raw: impl AsRef<[u8]>) -> Option<Arc<str>> {
    let raw = raw.as_ref();
    let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let shape = raw.len() == 55
        && [2, 35, 52].iter().all(|&dash| raw[dash] == b'-')
        && [&raw[..2], &raw[3..35], &raw[36..52], &raw[53..]].into_iter().all(hex)
        && &raw[..2] != b"ff"
        && raw[3..35].iter().any(|&b| b != b'0')
        && raw[36..52].iter().any(|&b| b != b'0');
    shape.then(|| std::str::from_utf8(raw).ok()).flatten().map(Into::into)
}

/// An entry that is refused, for the dead letters.
pub(super) fn rejected(
    entry: EntryId,
    fields: &[(Bytes, Bytes)],
    refusal: Refusal,
    now: Ms,
) -> Rejected {
    let text = |bytes: &Bytes| {
        let kept = &bytes[..bytes.len().min(RAW_KEPT)];
        String::from_utf8_lossy(kept).into_owned()
    };
    let tenant = field(fields, "tenant").and_then(|raw| tenant_id(raw).ok());
    let raw = match field(fields, "event") {
        Some(event) => text(event),
        None => fields
            .iter()
            .map(|(key, value)| format!("{}={}", text(key), text(value)))
            .collect::<Vec<_>>()
            .join("\n")
            .chars()
            .take(RAW_KEPT)
            .collect(),
    };
    Rejected {
        entry: entry.to_string(),
        at_ms: now,
        tenant: tenant.map(Into::into),
        code: refusal.code.to_owned(),
        reason: refusal.message,
        raw,
    }
}

/// To the dead letters: an event that was taken in, and that nothing can be done with.
pub(super) fn refused(entry: EntryId, event: &Event, refusal: Refusal, now: Ms) -> Rejected {
    let kept = &event.body[..event.body.len().min(RAW_KEPT)];
    Rejected {
        entry: entry.to_string(),
        at_ms: now,
        tenant: Some(event.tenant.to_string()),
        code: refusal.code.to_owned(),
        reason: refusal.message,
        raw: String::from_utf8_lossy(kept).into_owned(),
    }
}

/// Of a tenant that is there, and whose document cannot be used.
pub(crate) fn unusable(tenant: &str) -> Refusal {
    let message = format!(
        "the document of tenant `{tenant}` cannot be used, and the server's log says why; \
         apply a good one and send the event again"
    );
    Refusal::new("unusable_tenant", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(fields: &[(&str, &[u8])]) -> Result<Event, Rejected> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(k, v)| (Bytes::from((*k).to_owned()), Bytes::copy_from_slice(v)))
            .collect();
        let intake = Intake { limits: Limits::default() };
        let entry = EntryId { major: 1_735_228_800_123, minor: 4 };
        let standing = |tenant: &str| match tenant {
            "acme" => Standing::Usable,
            "broken" => Standing::Unusable,
            _ => Standing::Unknown,
        };
        intake.take(entry, &fields, &standing, 99)
    }

    #[test]
    fn the_same_entry_makes_the_same_event_again() {
        let fields: &[(&str, &[u8])] =
            &[("tenant", b"acme"), ("event", br#"{"type":"a","data":{}}"#)];
        let (one, two) = (take(fields).unwrap(), take(fields).unwrap());
        assert_eq!(&*one.id, "evt_s1735228800123-4");
        assert_eq!(one.body, two.body);
        assert_eq!(one.created, 1_735_228_800);
    }

    #[test]
    fn a_bad_entry_is_kept_with_its_reason() {
        let bad = take(&[("tenant", b"acme"), ("event", b"\xff{")]).unwrap_err();
        assert_eq!((&*bad.code, bad.tenant.as_deref()), ("not_utf8", Some("acme")));
        assert_eq!(bad.raw, "\u{fffd}{");
        let bad = take(&[("tenant", b"other"), ("event", b"{}")]).unwrap_err();
        assert_eq!(bad.code, "unknown_tenant");
        let bad = take(&[("tenant", b"broken"), ("event", b"{}")]).unwrap_err();
        assert_eq!((&*bad.code, &*bad.raw), ("unusable_tenant", "{}"));
        let bad = take(&[("tenant", b"acme"), ("payload", b"{}")]).unwrap_err();
        assert_eq!((&*bad.code, &*bad.raw), ("no_event", "tenant=acme\npayload={}"));
        assert_eq!(take(&[("event", b"{}")]).unwrap_err().code, "no_tenant");
    }

    #[test]
    fn an_entry_is_live_unless_it_says_test_and_nothing_else_is_taken() {
        let of = |word: Option<&'static [u8]>| {
            let fields: Vec<(&str, &[u8])> =
                vec![("tenant", b"acme"), ("event", br#"{"type":"a","data":{}}"#)];
            let word = word.map(|word| ("environment", word));
            take(&[fields, word.into_iter().collect()].concat())
        };
        assert_eq!(of(None).unwrap().environment, Environment::Live);
        assert_eq!(of(Some(b"live")).unwrap().environment, Environment::Live);
        assert_eq!(of(Some(b"test")).unwrap().environment, Environment::Test);
        for wrong in [&b""[..], b"Test", b"staging", b"\xff"] {
            assert_eq!(of(Some(wrong)).unwrap_err().code, "bad_environment");
        }
    }

    #[test]
    fn only_a_whole_trace_parent_is_passed_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_parent(good).as_deref(), Some(good));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx: y",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace_parent(bad), None, "{bad}");
        }
    }
}
