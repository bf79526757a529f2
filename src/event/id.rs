//! Event ids: random, derived from an idempotency key, or derived for Fanfare's own events.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// `evt_` and 26 characters (a ULID in lower case): 48 bits of time, then 80 bits of `random`. Such
/// ids sort by time and cannot be guessed.
pub fn new_event_id(now_ms: i64, random: u128) -> String {
    let time = u128::try_from(now_ms).unwrap_or(0) & 0xffff_ffff_ffff;
    let bits = (time << 80) | (random & ((1 << 80) - 1));
    let mut text = String::with_capacity(30);
    text.push_str("evt_");
    for place in (0..26).rev() {
        text.push(char::from(ALPHABET[((bits >> (place * 5)) & 31) as usize]));
    }
    text
}

/// The id of an event sent with an idempotency key. The same key always yields the same id.
pub fn event_id_for_key(tenant: &str, key: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(tenant.as_bytes());
    hash.update([0]);
    hash.update(key.as_bytes());
    let mut text = String::from("evt_k");
    for byte in &hash.finalize()[..16] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The id of an event that Fanfare itself creates. The same parts always yield the same id.
pub fn own_event_id(what: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut text = format!("evt_{what}_");
    for byte in &hash.finalize()[..12] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Whether an id has the form of [`own_event_id`]. Other generated ids never do.
pub(super) fn is_own_id(id: &str) -> bool {
    let of = |what: &str| id.strip_prefix("evt_")?.strip_prefix(what)?.strip_prefix('_');
    ["dead", "disabled", "held", "failing", "recovered"].into_iter().filter_map(of).any(|rest| {
        rest.len() == 24 && rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_sort_by_time_and_differ() {
        let early = new_event_id(1_735_228_800_000, u128::MAX);
        let late = new_event_id(1_735_228_800_001, 0);
        assert!(early < late);
        assert_eq!(early.len(), 30);
        assert_ne!(new_event_id(1, 1), new_event_id(1, 2));
    }

    #[test]
    fn the_same_key_yields_the_same_id_within_one_tenant_only() {
        assert_eq!(event_id_for_key("a", "k"), event_id_for_key("a", "k"));
        assert_ne!(event_id_for_key("a", "k"), event_id_for_key("b", "k"));
        assert_ne!(event_id_for_key("a", "bk"), event_id_for_key("ab", "k"));
    }
}
