//! The trace that an event belongs to, as its producer gives it (W3C Trace Context).

use std::sync::Arc;

/// A W3C `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`. `None` for anything else, which is ignored,
/// as the recommendation asks.
pub fn trace_parent(raw: impl AsRef<[u8]>) -> Option<Arc<str>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_trace_parent_is_passed_on() {
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
