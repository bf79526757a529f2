//! One entry of the log: from its fields to an event, or to a dead letter with the reason.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::{Environment, Event};

use crate::event::{Fill, Limits, Refusal, accept, reserved_tenant_id, tenant_id, trace_parent};
use crate::tenant::TenantStatus;
use fanfare_store::{EntryId, Ms, Rejected};

/// Most bytes of a rejected entry that are kept.
const RAW_BYTES_MAX: usize = 64 * 1024;

/// The fields that Fanfare reads.
const FIELDS: [&str; 4] = ["tenant", "event", "environment", "traceparent"];

/// An event from a stream entry's fields `tenant`, `event` and, if present, `environment` and
/// `traceparent`.
///
/// What the producer left out is derived from the entry's id, so that the same entry becomes the
/// same event again after a crash.
pub(super) fn event_of(
    entry: EntryId,
    fields: &[(Bytes, Bytes)],
    limits: Limits,
    status: &dyn Fn(&str) -> TenantStatus,
) -> Result<Event, Refusal> {
    if let Some(name) = FIELDS.into_iter().find(|name| occurs_twice(fields, name)) {
        let message = format!("the entry has the field `{name}` twice; write it once");
        return Err(Refusal::new("duplicate_field", message));
    }
    let tenant = field(fields, "tenant").ok_or_else(|| missing("no_tenant", "tenant"))?;
    let tenant = tenant_id(tenant)?;
    match status(tenant) {
        TenantStatus::Usable(_) => {}
        TenantStatus::Unusable => return Err(Refusal::unusable_tenant(tenant)),
        TenantStatus::Unknown => {
            if let Some(reason) = reserved_tenant_id(tenant) {
                return Err(Refusal::new("bad_tenant", format!("the tenant `{tenant}` {reason}")));
            }
            let message = format!("there is no tenant `{tenant}`; add it with `fanfare apply`");
            return Err(Refusal::new("unknown_tenant", message));
        }
    }
    let event = field(fields, "event").ok_or_else(|| missing("no_event", "event"))?;
    let fill = Fill {
        id: &|| format!("evt_s{}-{}", entry.major, entry.minor),
        received_ms: Ms::try_from(entry.major).unwrap_or(0),
    };
    let event = accept(&Arc::from(tenant), event.clone(), limits, &fill)?;
    let environment = environment(field(fields, "environment"))?;
    let trace = field(fields, "traceparent").and_then(trace_parent);
    Ok(event.with_trace(trace).with_environment(environment))
}

fn missing(code: &'static str, field: &str) -> Refusal {
    let message = format!(
        "the entry has no field `{field}`; write XADD fanfare:events * tenant acme event '{{…}}'"
    );
    Refusal::new(code, message)
}

/// Any other value is refused: to treat it as live could send a test event to customers.
fn environment(word: Option<&Bytes>) -> Result<Environment, Refusal> {
    let Some(word) = word else { return Ok(Environment::Live) };
    let parsed = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    parsed.ok_or_else(|| {
        Refusal::new("bad_environment", "the field `environment` must be `live` or `test`")
    })
}

fn occurs_twice(fields: &[(Bytes, Bytes)], name: &str) -> bool {
    fields.iter().filter(|(key, _)| key == name.as_bytes()).nth(1).is_some()
}

fn field<'a>(fields: &'a [(Bytes, Bytes)], name: &str) -> Option<&'a Bytes> {
    fields.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value)
}

/// The tenant that an entry names, if that can be the id of a tenant.
pub(super) fn named_tenant(fields: &[(Bytes, Bytes)]) -> Option<&str> {
    tenant_id(field(fields, "tenant")?).ok()
}

/// The dead letter of an entry that cannot be decoded.
pub(super) fn rejected_entry(
    entry: EntryId,
    fields: &[(Bytes, Bytes)],
    refusal: Refusal,
    now: Ms,
) -> Rejected {
    let text = |bytes: &Bytes| {
        let kept = &bytes[..bytes.len().min(RAW_BYTES_MAX)];
        String::from_utf8_lossy(kept).into_owned()
    };
    let tenant = named_tenant(fields);
    let raw = match field(fields, "event") {
        Some(event) => text(event),
        None => fields
            .iter()
            .map(|(key, value)| format!("{}={}", text(key), text(value)))
            .collect::<Vec<_>>()
            .join("\n")
            .chars()
            .take(RAW_BYTES_MAX)
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

/// The dead letter of an event that was decoded and is refused all the same.
pub(super) fn rejected_event(entry: EntryId, event: &Event, refusal: Refusal, now: Ms) -> Rejected {
    let kept = &event.body[..event.body.len().min(RAW_BYTES_MAX)];
    Rejected {
        entry: entry.to_string(),
        at_ms: now,
        tenant: Some(event.tenant.to_string()),
        code: refusal.code.to_owned(),
        reason: refusal.message,
        raw: String::from_utf8_lossy(kept).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(fields: &[(&str, &[u8])]) -> Result<Event, Rejected> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(k, v)| (Bytes::from((*k).to_owned()), Bytes::copy_from_slice(v)))
            .collect();
        let entry = EntryId { major: 1_735_228_800_123, minor: 4 };
        let status = |tenant: &str| match tenant {
            "acme" => TenantStatus::Usable(Arc::new(crate::testing::tenant("acme"))),
            "broken" => TenantStatus::Unusable,
            _ => TenantStatus::Unknown,
        };
        event_of(entry, &fields, Limits::default(), &status)
            .map_err(|refusal| rejected_entry(entry, &fields, refusal, 99))
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
        for reserved in ["me", "null", "--"] {
            let bad = take(&[("tenant", reserved.as_bytes()), ("event", b"{}")]).unwrap_err();
            assert_eq!(bad.code, "bad_tenant", "{reserved}: {}", bad.reason);
        }
        let bad = take(&[("tenant", b"broken"), ("event", b"{}")]).unwrap_err();
        assert_eq!((&*bad.code, &*bad.raw), ("unusable_tenant", "{}"));
        let bad = take(&[("tenant", b"acme"), ("payload", b"{}")]).unwrap_err();
        assert_eq!((&*bad.code, &*bad.raw), ("no_event", "tenant=acme\npayload={}"));
        assert_eq!(take(&[("event", b"{}")]).unwrap_err().code, "no_tenant");
    }

    #[test]
    fn an_entry_is_live_unless_it_says_test_and_any_other_value_is_refused() {
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
}
