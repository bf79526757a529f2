//! The names that producers choose: tenants, event ids and event types.

use super::refusal::Refusal;

/// Checks a tenant's name: 1 to 64 characters of a-z, 0-9, - and _.
pub fn tenant_id(raw: &[u8]) -> Result<&str, Refusal> {
    let valid = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    match std::str::from_utf8(raw) {
        Ok(text) if (1..=64).contains(&text.len()) && raw.iter().all(valid) => Ok(text),
        _ => Err(Refusal::new(
            "bad_tenant",
            "the tenant must be 1 to 64 characters of a-z, 0-9, - and _",
        )),
    }
}

/// Why no new tenant may have this id, although its form is valid. Stored tenants keep theirs.
pub fn reserved_tenant_id(id: &str) -> Option<&'static str> {
    match id {
        "me" => Some("is reserved: `me` is the tenant of the caller's key; choose another id"),
        "null" => {
            Some("is reserved, because programs write it for a missing value; choose another id")
        }
        _ if id.bytes().all(|byte| matches!(byte, b'-' | b'_')) => {
            Some("must contain a letter or a digit")
        }
        _ => None,
    }
}

/// Checks an event's id.
pub(super) fn check_id(id: &str) -> Result<(), Refusal> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
    if (1..=128).contains(&id.len()) && id.bytes().all(valid) {
        return Ok(());
    }
    Err(Refusal::new(
        "bad_id",
        "`id` must be 1 to 128 characters of A-Z, a-z, 0-9, _, - and :, for example \
         \"evt_01hq3\"; omit it to get a generated id",
    ))
}

/// Checks an event's type.
pub(super) fn check_type(kind: &str) -> Result<(), Refusal> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let segment = |segment: &str| !segment.is_empty() && segment.bytes().all(valid);
    if kind.len() <= 128 && kind.split('.').all(segment) {
        return Ok(());
    }
    Err(Refusal::new(
        "bad_type",
        "`type` must be words of A-Z, a-z, 0-9, _ and - joined by dots, at most 128 characters, for \
         example \"kyc.session.created\"",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_plain_words() {
        assert_eq!(tenant_id(b"acme-bank_2"), Ok("acme-bank_2"));
        for bad in [&b""[..], b"Acme", b"a b", b"a:b", b"{x}", &[0xff], &[b'a'; 65]] {
            assert!(tenant_id(bad).is_err());
        }
    }

    #[test]
    fn ids_that_would_be_mistaken_for_something_else_are_reserved() {
        for reserved in ["me", "null", "-", "_", "--", "-_-_"] {
            assert!(reserved_tenant_id(reserved).is_some(), "{reserved}");
        }
        for free in ["acme", "me2", "nulls", "-a", "0", "meme"] {
            assert_eq!(reserved_tenant_id(free), None, "{free}");
        }
    }
}
