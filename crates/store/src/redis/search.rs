//! Search keys of events (`scripts/index.lua`), and finding events through them.
//!
//! A sorted set of keys would cost several times as much, in time and in memory. Texts that only grow
//! cost little to write, and a search looks through one of sixteen in each segment.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::Value;

use super::keys::Tag;
use super::summary::summary;
use super::{Core, reply, script};
use crate::{EventQuery, EventSummary, Page, Result, StoreError, TAIL_BYTES};

/// Segments of 4,096 events that one script looks into: a few milliseconds.
const SEGMENTS_AT_ONCE: usize = 64;
/// Segments that one call looks into: 4 million events.
const SEGMENTS_A_CALL: usize = 1_024;
/// Most events in one script.
const LOOK_AT_ONCE: usize = 200;
/// Most events in one call, however few the query selects.
const LOOK_A_CALL: usize = 2_000;
/// How long replicas with other paths may still run after the first one with a path has started.
const OTHERS_END_US: u64 = 24 * 3_600 * 1_000_000;
/// Most items of a page.
const LONGEST_PAGE: usize = 1_000;

/// The hashes of an event as the scripts take them: 48 bits are 8 characters each.
pub(super) fn hashes(core: &Core, body: &[u8]) -> String {
    let mut text = String::new();
    for hash in core.search.hashes(body) {
        text.push_str(&encode(hash));
    }
    text
}

fn encode(hash: u64) -> String {
    URL_SAFE_NO_PAD.encode(&hash.to_be_bytes()[2..])
}

/// Records the paths that this process indexes.
pub(super) async fn note(core: &Core) -> Result<()> {
    let mut cmd = script::call(&script::INDEXED, &[&core.keys.indexed()]);
    for path in core.search.paths() {
        cmd.arg(&**path);
    }
    core.link.ask(Tag::Replicas, cmd).await.map(drop)
}

/// The number of an event's admission, which is a time in microseconds, from which on all of these
/// paths are indexed.
pub(super) async fn since(core: &Core, paths: &[String]) -> Result<Option<u64>> {
    let mut cmd = redis::cmd("HMGET");
    cmd.arg(core.keys.indexed()).arg(paths);
    let mut latest = 0;
    for since in reply::array(core.link.ask(Tag::Replicas, cmd).await?)? {
        if since == Value::Nil {
            return Ok(None);
        }
        latest = latest.max(reply::count(&since)?);
    }
    // Replicas with the settings before may have admitted events for a while.
    Ok(Some(latest + OTHERS_END_US))
}

/// Events with all keys of a query, in the order in which they were admitted.
pub(super) async fn events(core: &Core, query: &EventQuery) -> Result<Page<EventSummary>> {
    let first = query.matches.first().map_or_else(|| Ok(0), |key| core.search.hash(key))?;
    query.matches.iter().try_for_each(|key| core.search.hash(key).map(drop))?;
    let mut after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let limit = query.limit.clamp(1, LONGEST_PAGE);
    let mut items = Vec::new();
    let (mut looked_at, mut scripts) = (0, 0);
    loop {
        let found = look(core, query, &encode(first), after).await?;
        looked_at += found.lines.len();
        scripts += 1;
        for line in found.lines {
            items.extend(line.selected(core, query)?);
            if items.len() == limit {
                return Ok(Page { items, next: Some(write_cursor(line.number)) });
            }
        }
        let is_enough = looked_at >= LOOK_A_CALL || scripts >= SEGMENTS_A_CALL / SEGMENTS_AT_ONCE;
        match found.next {
            None => return Ok(Page { items, next: None }),
            Some(next) if is_enough => {
                return Ok(Page { items, next: Some(write_cursor(next)) });
            }
            next => after = next,
        }
    }
}

fn write_cursor(number: u64) -> String {
    format!("m.{number:x}")
}

fn read_cursor(text: &str) -> Result<u64> {
    let number = text.strip_prefix("m.").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    // The numbers of Redis are exact up to 2^53.
    number
        .filter(|number| *number < 1 << 53 && write_cursor(*number) == text)
        .ok_or_else(|| StoreError::BadQuery("the cursor is not one that this list gave".to_owned()))
}

/// What one script found.
struct Found {
    lines: Vec<Line>,
    /// The number after which to go on. None at the end.
    next: Option<u64>,
}

/// One event with the hash.
struct Line {
    number: u64,
    id: String,
    packed: Vec<u8>,
    outcome: Option<String>,
}

impl Line {
    /// The event, if the query selects it. Another value may have the same hash.
    fn selected(&self, core: &Core, query: &EventQuery) -> Result<Option<EventSummary>> {
        let corrupt = || StoreError::Corrupt("an event is not as Fanfare wrote it".to_owned());
        let end = memchr::memchr(b'\n', &self.packed).ok_or_else(corrupt)?;
        if !core.search.has_all(&self.packed[end + 1..], &query.matches) {
            return Ok(None);
        }
        summary(query, &self.id, &self.packed[..end], self.outcome.as_deref())
    }
}

async fn look(core: &Core, query: &EventQuery, hash: &str, after: Option<u64>) -> Result<Found> {
    let keys = core.keys.tenant(&query.tenant);
    let names = [keys.search_segments(), keys.seen(), keys.events(), keys.outcomes()];
    let mut cmd = script::call(&script::FIND, &names.each_ref().map(String::as_str));
    cmd.arg(&keys.base).arg(&keys.name).arg(hash).arg(u8::from(query.oldest_first));
    match after {
        Some(number) => cmd.arg(number),
        None => cmd.arg(""),
    };
    cmd.arg(SEGMENTS_AT_ONCE).arg(LOOK_AT_ONCE).arg(TAIL_BYTES);
    let mut parts = reply::array(core.link.ask(keys.tag(), cmd).await?)?.into_iter();
    let mut next = || parts.next().unwrap_or(Value::Nil);
    let is_end = next() == Value::Int(1);
    let number = next();
    let next = if is_end { None } else { Some(reply::count(&number)?) };
    let mut lines = Vec::new();
    while let (Some(number), Some(id), Some(packed), Some(outcome)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    {
        let outcome = match outcome {
            Value::Nil => None,
            packed => Some(reply::text(packed)?),
        };
        lines.push(Line {
            number: reply::count(&number)?,
            id: reply::text(id)?,
            packed: reply::bytes(packed)?.unwrap_or_default(),
            outcome,
        });
    }
    Ok(Found { lines, next })
}
