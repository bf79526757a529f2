//! How values are stored in rows.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::{DeliveryId, Environment, Event, LaneId};
use rusqlite::Row;

use crate::{
    Attempt, DeliveryRecord, DeliveryState, DeliveryUpdate, EntryId, EventState, Ms, Result,
    StateKind, StoreError,
};

pub(super) const PENDING: i64 = 0;
pub(super) const UNROUTED: i64 = 1;
pub(super) const ROUTED: i64 = 2;

pub(super) const WAITING: i64 = state_number(StateKind::Waiting);
pub(super) const DEAD: i64 = state_number(StateKind::Dead);

/// The number of a state in a row.
pub(super) const fn state_number(kind: StateKind) -> i64 {
    match kind {
        StateKind::Delivered => 0,
        StateKind::Waiting => 1,
        StateKind::Suppressed => 2,
        StateKind::Dead => 3,
    }
}

/// The state of a number in a row.
pub(super) fn state_kind(number: i64) -> Result<StateKind> {
    let found = StateKind::ALL.into_iter().find(|kind| state_number(*kind) == number);
    found.ok_or_else(|| StoreError::Corrupt(format!("a delivery with the state {number}")))
}

pub(super) fn entry_id(seq: i64) -> EntryId {
    EntryId { major: seq.unsigned_abs(), minor: 0 }
}

/// The row of an entry. An entry id that no row can have maps to a number that no row has.
pub(super) fn seq_of(entry: EntryId) -> i64 {
    i64::try_from(entry.major).unwrap_or(i64::MAX)
}

pub(super) fn event_state(number: i64) -> Result<EventState> {
    match number {
        PENDING => Ok(EventState::Pending),
        UNROUTED => Ok(EventState::Unrouted),
        ROUTED => Ok(EventState::Routed),
        other => Err(StoreError::Corrupt(format!("an event with the state {other}"))),
    }
}

pub(super) fn environment_number(environment: Environment) -> i64 {
    match environment {
        Environment::Live => 0,
        Environment::Test => 1,
    }
}

pub(super) fn environment(number: i64) -> Result<Environment> {
    match number {
        0 => Ok(Environment::Live),
        1 => Ok(Environment::Test),
        other => Err(StoreError::Corrupt(format!("an event of the environment {other}"))),
    }
}

/// Columns of [`state`], of the delivery's row.
pub(super) const STATE: &str = "state, reason, due_ms, serve_ms";

/// A delivery's state from the columns of [`STATE`], the first of which is at `from`.
pub(super) fn state(row: &Row<'_>, from: usize) -> Result<DeliveryState> {
    let kind = state_kind(row.get(from)?)?;
    let reason = row.get_ref(from + 1)?.as_str_or_null().map_err(column)?.unwrap_or_default();
    let time = |n| Ok::<_, StoreError>(row.get::<_, Option<Ms>>(from + n)?.unwrap_or_default());
    Ok(DeliveryState::from_parts(kind, reason, (time(2)?, time(3)?)))
}

/// Attempts as lines of JSON, so that later ones are appended without reading the earlier.
pub(super) fn attempt_lines(attempts: &[Attempt]) -> Result<String> {
    let mut lines = Vec::with_capacity(attempts.len() * 128);
    for attempt in attempts {
        let wrote = serde_json::to_writer(&mut lines, attempt);
        wrote.map_err(|error| StoreError::Other {
            message: "an attempt cannot be written as JSON".to_owned(),
            source: Some(Box::new(error)),
        })?;
        lines.push(b'\n');
    }
    String::from_utf8(lines).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn attempts(lines: &str) -> Result<Vec<Attempt>> {
    let parsed: Result<_, _> = serde_json::Deserializer::from_str(lines).into_iter().collect();
    parsed.map_err(|error| StoreError::Corrupt(format!("a delivery's attempts: {error}")))
}

pub(super) fn tries(update: &DeliveryUpdate) -> i64 {
    i64::from(update.tries())
}

/// Columns of [`event`]; `e` is the event's row, `b` its body's.
pub(super) const EVENT: &str =
    "e.id, e.kind, e.created, e.received_ms, b.body, b.trace, e.environment";

/// The id of the event whose columns of [`EVENT`] start at `from`.
pub(super) fn event_id<'a>(row: &'a Row<'_>, from: usize) -> Result<&'a str> {
    row.get_ref(from)?.as_str().map_err(column)
}

/// An event from the columns of [`EVENT`], the first of which is at `from`.
pub(super) fn event(row: &Row<'_>, from: usize, tenant: Arc<str>) -> Result<Event> {
    let text = |n: usize| {
        Ok::<Arc<str>, StoreError>(row.get_ref(from + n)?.as_str().map_err(column)?.into())
    };
    let body = row.get_ref(from + 4)?.as_blob().map_err(column)?;
    let trace = row.get_ref(from + 5)?.as_str_or_null().map_err(column)?;
    let event = Event::new(
        tenant,
        text(0)?,
        text(1)?,
        row.get(from + 2)?,
        row.get(from + 3)?,
        Bytes::copy_from_slice(body),
    );
    let environment = environment(row.get(from + 6)?)?;
    Ok(event.with_trace(trace.map(Arc::from)).with_environment(environment))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` wants")]
fn column(error: rusqlite::types::FromSqlError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Columns of [`delivery`]; `e` is the event's row, `d` the delivery's, `l` its lane's.
pub(super) const DELIVERY: &str = "e.id, e.kind, l.destination, d.channel, d.state, d.reason, \
     d.due_ms, d.serve_ms, d.attempts, d.received_ms, d.updated_ms, e.environment";

/// A delivery from the columns of [`DELIVERY`], the first of which is at `from`.
pub(super) fn delivery(row: &Row<'_>, from: usize) -> Result<DeliveryRecord> {
    let event: String = row.get(from)?;
    let lane = LaneId::from(row.get::<_, String>(from + 2)?);
    let lines = row.get_ref(from + 8)?.as_str().map_err(column)?;
    Ok(DeliveryRecord {
        id: DeliveryId::derive(&event, &lane),
        event,
        kind: row.get(from + 1)?,
        lane,
        channel: row.get(from + 3)?,
        state: state(row, from + 4)?,
        attempts: attempts(lines)?,
        received_ms: row.get(from + 9)?,
        updated_ms: row.get(from + 10)?,
        environment: environment(row.get(from + 11)?)?,
    })
}
