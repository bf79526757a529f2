//! The format of events and outcomes in Redis: lines of text with fields separated by tabs.
//!
//! - An event: `arrival⇥received_ms⇥created⇥"type"⇥"trace"⏎body`, with `⇥test` before the line feed
//!   if it is not live.
//! - An outcome: `arrival received_ms`, and for each delivery a line
//!   `⏎"lane"⇥letter⇥updated_ms⇥due_ms⇥serve_ms⇥"reason"⇥"channel"` and `⇥{attempt}` for each
//!   attempt.
//!
//! - The outcome of an event with more than [`WIDE`] deliveries is in parts, by a hash of the lane:
//!   writing one delivery then does not cost in proportion to the others. See `outcome.lua`.
//!
//! Texts are JSON strings, so they contain neither tab nor line feed, and the scripts can find,
//! replace and extend a line without parsing JSON. An outcome without a line is an event that no
//! route matched. The letters are `d`elivered, `w`aiting, `s`uppressed, and `x` for dead.
//!
//! `arrival` is an entry's id in a form that sorts as the entries do. A letter before each number
//! gives its count of digits.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::{DeliveryId, Environment, Event, LaneId};

use crate::{
    Attempt, Counts, DeliveryRecord, DeliveryState, DeliveryUpdate, EntryId, Ms, Reason, Result,
    StateKind, StoreError,
};

// This code runs for each event. Pushing strings takes less than half of the instructions of
// formatting.

/// An entry's id as sortable text.
pub(super) fn arrival(entry: EntryId) -> String {
    let mut text = String::with_capacity(24);
    for number in [entry.major, entry.minor] {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number);
        // u64 has at most 20 digits: `b` to `u`.
        text.push(char::from(b'a' + u8::try_from(digits.len()).unwrap_or(20)));
        text.push_str(digits);
    }
    text
}

/// Whether a text has the form that `arrival` writes.
pub(super) fn is_arrival(text: &str) -> bool {
    let mut rest = text;
    for _ in 0..2 {
        let Some(letter) = rest.bytes().next().filter(|letter| (b'b'..=b'u').contains(letter))
        else {
            return false;
        };
        let count = usize::from(letter - b'a');
        match rest.get(1..=count) {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                rest = &rest[count + 1..];
            }
            _ => return false,
        }
    }
    rest.is_empty()
}

/// Reads the text form of an entry's id.
pub(super) fn read_arrival(text: &str) -> Option<EntryId> {
    if !is_arrival(text) {
        return None;
    }
    let count = usize::from(text.bytes().next()? - b'a');
    let (major, minor) = (text.get(1..=count)?, text.get(count + 2..)?);
    Some(EntryId { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// A text as a JSON string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    push_quoted(&mut quoted, text);
    quoted
}

fn push_quoted(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

fn push_number(out: &mut String, number: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(number));
}

pub(super) fn unquote(field: &str) -> Result<String> {
    serde_json::from_str(field).map_err(|_| corrupt("a text"))
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} is not as Fanfare wrote it"))
}

fn number<T: FromStr>(field: Option<&str>, what: &str) -> Result<T> {
    field.and_then(|field| field.parse().ok()).ok_or_else(|| corrupt(what))
}

/// The parts of a packed event, for the hash of events.
pub(super) fn event_parts<'a>(arrival: &'a str, head: &'a str, event: &'a Event) -> [&'a [u8]; 3] {
    [arrival.as_bytes(), head.as_bytes(), &event.body]
}

/// The part of a packed event between its arrival and its body.
pub(super) fn head(event: &Event) -> String {
    let trace = event.trace.as_deref();
    let more = trace.map_or(0, str::len) + event.kind.len();
    let mut head = String::with_capacity(more + 48);
    head.push('\t');
    push_number(&mut head, event.received_ms);
    head.push('\t');
    push_number(&mut head, event.created);
    head.push('\t');
    push_quoted(&mut head, &event.kind);
    head.push('\t');
    if let Some(trace) = trace {
        push_quoted(&mut head, trace);
    }
    head.push_str(if event.environment.is_live() { "\n" } else { "\ttest\n" });
    head
}

/// What is known of an event without its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) received_ms: Ms,
    pub(super) created: i64,
    pub(super) kind: String,
    pub(super) trace: Option<String>,
    pub(super) environment: Environment,
}

/// Reads the first line of a packed event.
pub(super) fn read_head(line: &[u8]) -> Result<Head> {
    let text = std::str::from_utf8(line).map_err(|_| corrupt("an event"))?;
    let mut fields = text.split('\t').skip(1);
    Ok(Head {
        received_ms: number(fields.next(), "an event's time")?,
        created: number(fields.next(), "an event's time")?,
        kind: unquote(fields.next().unwrap_or_default())?,
        trace: fields.next().filter(|field| !field.is_empty()).map(unquote).transpose()?,
        environment: match fields.next() {
            None => Environment::Live,
            Some(word) => word.parse().map_err(|_| corrupt("an event's environment"))?,
        },
    })
}

/// Reads a packed event. Its body shares the memory of `packed`.
pub(super) fn unpack_event(tenant: Arc<str>, id: &str, packed: Vec<u8>) -> Result<Event> {
    let end = memchr::memchr(b'\n', &packed).ok_or_else(|| corrupt("an event"))?;
    let head = read_head(&packed[..end])?;
    let body = Bytes::from(packed).slice(end + 1..);
    Ok(Event::new(tenant, id.into(), head.kind.into(), head.created, head.received_ms, body)
        .with_trace(head.trace.map(Into::into))
        .with_environment(head.environment))
}

/// The letter of a state.
pub(super) fn letter(kind: StateKind) -> &'static str {
    match kind {
        StateKind::Delivered => "d",
        StateKind::Waiting => "w",
        StateKind::Suppressed => "s",
        StateKind::Dead => "x",
    }
}

/// The state of a letter.
fn kind(letter: &str) -> Option<StateKind> {
    StateKind::ALL.into_iter().find(|kind| self::letter(*kind) == letter)
}

/// A delivery's line up to its attempts.
pub(super) fn pack_line(update: &DeliveryUpdate) -> String {
    let mut line = String::with_capacity(LINE);
    push_line(&mut line, update);
    line
}

fn push_line(out: &mut String, update: &DeliveryUpdate) {
    let state = update.change.target();
    let (due, serve) = state.times().unwrap_or_default();
    push_quoted(out, update.lane.as_str());
    out.push('\t');
    out.push_str(letter(state.kind()));
    for number in [update.at_ms, due, serve] {
        out.push('\t');
        push_number(out, number);
    }
    let reason = state.reason().map(Reason::as_text).unwrap_or_default();
    for text in [&*reason, &*update.channel] {
        out.push('\t');
        push_quoted(out, text);
    }
}

/// Marks the start of a replay among the attempts. See `lane.lua`.
const REPLAYED: &str = "!";

/// Attempts as they follow a delivery's line.
pub(super) fn pack_attempts(attempts: &[Attempt]) -> String {
    let mut packed = String::new();
    push_attempts(&mut packed, attempts);
    packed
}

fn push_attempts(out: &mut String, attempts: &[Attempt]) {
    for attempt in attempts {
        let json = serde_json::to_string(attempt).expect("numbers and texts are always JSON");
        out.push('\t');
        out.push_str(&json);
    }
}

/// Approximate bytes of a delivery with one attempt.
const LINE: usize = 192;

/// From this number of deliveries on, an outcome is in parts.
const WIDE: usize = 32;
/// Deliveries in one part, about.
const PART: usize = 16;
/// Most parts. A script passes this number of arguments at once.
const PARTS_MAX: usize = 1_000;
/// Begins a part. JSON texts do not contain it.
const PART_MARK: char = '\u{2}';

/// The number that selects the part of a lane: FNV-1a, the same in every version.
pub(super) fn lane_hash(lane: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    lane.bytes().fold(0x811c_9dc5, step)
}

/// Packs the outcome of an event.
pub(super) fn pack_outcome(arrival: &str, received_ms: Ms, updates: &[DeliveryUpdate]) -> String {
    let mut packed = String::with_capacity(40 + LINE * updates.len());
    packed.push_str(arrival);
    packed.push(' ');
    push_number(&mut packed, received_ms);
    if updates.len() > WIDE {
        push_parts(&mut packed, updates);
        return packed;
    }
    for update in updates {
        packed.push('\n');
        push_line(&mut packed, update);
        push_attempts(&mut packed, &update.attempts);
    }
    packed
}

fn push_parts(out: &mut String, updates: &[DeliveryUpdate]) {
    let count = (updates.len() / PART).min(PARTS_MAX);
    out.push_str(" *");
    push_number(out, count);
    for kind in [StateKind::Waiting, StateKind::Suppressed, StateKind::Dead] {
        let of = |update: &&DeliveryUpdate| update.change.target_kind() == kind;
        out.push(' ');
        push_number(out, updates.iter().filter(of).count());
    }
    let mut parts = vec![String::new(); count];
    for update in updates {
        let hash = usize::try_from(lane_hash(update.lane.as_str())).unwrap_or(0);
        let part = &mut parts[hash % count];
        part.push('\n');
        push_line(part, update);
        push_attempts(part, &update.attempts);
    }
    for part in parts {
        out.push(PART_MARK);
        out.push_str(&part);
    }
}

/// The deliveries of a packed outcome, in the order in which they were first written.
pub(super) fn unpack_outcome(
    event: &str,
    kind: &str,
    environment: Environment,
    packed: &str,
) -> Result<Vec<DeliveryRecord>> {
    let mut lines = packed.split('\n');
    let received_ms =
        number(lines.next().and_then(|head| head.split(' ').nth(1)), "an outcome's time")?;
    let unpack = |line| {
        let record = unpack_line(event, kind, received_ms, line)?;
        Ok(DeliveryRecord { environment, ..record })
    };
    lines.map(unpack).collect()
}

fn unpack_line(
    event: &str,
    event_type: &str,
    received_ms: Ms,
    line: &str,
) -> Result<DeliveryRecord> {
    let mut fields = line.split('\t');
    let lane = LaneId::from(unquote(fields.next().unwrap_or_default())?);
    let letter = fields.next().unwrap_or_default();
    let updated_ms = number(fields.next(), "a delivery's time")?;
    let due_ms = number(fields.next(), "a delivery's due time")?;
    let serve_ms = number(fields.next(), "a delivery's service time")?;
    let reason = unquote(fields.next().unwrap_or_default())?;
    let channel = unquote(fields.next().unwrap_or_default())?;
    let kind = kind(letter).ok_or_else(|| corrupt("a delivery's state"))?;
    let state = DeliveryState::from_parts(kind, &reason, (due_ms, serve_ms));
    let attempts = fields
        .filter(|field| *field != REPLAYED)
        .map(|field| serde_json::from_str(field).map_err(|_| corrupt("an attempt")))
        .collect::<Result<_>>()?;
    Ok(DeliveryRecord {
        id: DeliveryId::derive(event, &lane),
        event: event.to_owned(),
        kind: event_type.to_owned(),
        lane,
        channel,
        environment: Environment::Live,
        state,
        attempts,
        received_ms,
        updated_ms,
    })
}

/// How many deliveries of a packed outcome are in which state.
pub(super) fn count_outcome(packed: &str) -> Counts {
    let mut counts = Counts::default();
    for line in packed.split('\n').skip(1) {
        if let Some(kind) = line.split('\t').nth(1).and_then(kind) {
            *counts.of(kind) += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Change;

    fn entry(major: u64, minor: u64) -> EntryId {
        EntryId { major, minor }
    }

    #[test]
    fn arrivals_sort_as_entries_do() {
        let entries = [
            entry(0, 1),
            entry(9, 0),
            entry(10, 0),
            entry(10, 9),
            entry(10, 10),
            entry(1_763_900_000_000, 0),
            entry(u64::MAX, u64::MAX),
        ];
        assert!(entries.iter().all(|entry| read_arrival(&arrival(*entry)) == Some(*entry)));
        let texts: Vec<String> = entries.into_iter().map(arrival).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(texts.iter().all(|text| is_arrival(text)));
        for wrong in ["", "b", "b1", "b1b1x", "c1b1", "ü", "z1b1", "bxb1"] {
            assert!(!is_arrival(wrong) && read_arrival(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn an_event_comes_back_byte_for_byte() {
        let body = Bytes::from_static(b"{\"id\":\"evt_1\",\n\t\"x\":\"\xc3\xbc\"}");
        let event =
            Event::new("acme".into(), "evt_1".into(), "a\t\"b\"\n".into(), 5, 7, body.clone())
                .with_trace(Some("00-ab-cd-01".into()));
        let packed = event_parts("b1b0", &head(&event), &event).concat();
        let back = unpack_event("acme".into(), "evt_1", packed).unwrap();
        assert_eq!((&*back.kind, back.created, back.received_ms), ("a\t\"b\"\n", 5, 7));
        assert_eq!(back.trace.as_deref(), Some("00-ab-cd-01"));
        assert_eq!(back.body, body);
    }

    #[test]
    fn a_text_is_quoted_as_json_quotes_it() {
        for text in ["", "hook-0", "a \"b\" \\ c", "tab\tline\n", "\u{1f}", "é ✓", "\u{7f}"] {
            assert_eq!(quote(text), serde_json::to_string(text).unwrap());
            assert_eq!(unquote(&quote(text)).unwrap(), text);
        }
    }

    #[test]
    fn an_outcome_comes_back_whatever_its_texts_hold() {
        let update = DeliveryUpdate {
            id: DeliveryId::derive("evt_1", "hook~x"),
            lane: "hook~x".into(),
            channel: "webhook".into(),
            change: Change::GivenUp("bad\tnews\n{\"é\"}".into()),
            attempts: vec![Attempt {
                number: 1,
                at_ms: 10,
                took_ms: 3,
                code: "http_500".into(),
                status: Some(500),
                message: "line\nbreak\t{".into(),
                answer: String::new(),
                remote_id: None,
                digest: None,
                resent: false,
            }],
            at_ms: 11,
        };
        let packed = pack_outcome("b1b0", 9, std::slice::from_ref(&update));
        assert_eq!(packed.lines().count(), 2);
        let back = unpack_outcome("evt_1", "k", Environment::Test, &packed).unwrap();
        assert_eq!(back[0].state, update.change.target());
        assert_eq!(back[0].attempts, update.attempts);
        assert_eq!((back[0].received_ms, back[0].updated_ms), (9, 11));
        assert_eq!(count_outcome(&packed).dead, 1);
        assert!(unpack_outcome("evt_1", "k", Environment::Live, "b1b0 9\nnonsense").is_err());
    }
}
