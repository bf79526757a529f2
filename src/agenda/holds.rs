//! What keeps a lane from sending, as all processes see it: a note in the store for each lane to
//! which nothing is sent for a while.
//!
//! The gates are in the memory of each process. The note tells the API and the other processes why
//! a lane waits and until when. It also remembers whether the tenant was notified, so that a
//! receiver that stays away is reported once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Hold;
use fanfare_store::{LaneKey, Ms, Records, Result};

/// The collection of the notes.
const HOLDS: &str = "holds";
/// How long a note stays after its hold has ended: a receiver that is still away gets the next hold
/// within this time.
const KEPT_AFTER: Duration = Duration::from_mins(10);

/// Why nothing is sent to a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldNote {
    /// The serialized form of the reason: `circuit_open`, `retry_after`, or `retry` for a lane in
    /// order whose first delivery waits for its next attempt.
    pub reason: String,
    /// The code of the last failure.
    pub code: String,
    /// Since when.
    pub since_ms: Ms,
    /// When it was last noted.
    pub at_ms: Ms,
    /// Until when nothing is sent.
    pub until_ms: Ms,
    /// The tenant was notified.
    #[serde(default)]
    pub noticed: bool,
}

/// Notes a hold. Returns the note.
pub async fn note(
    records: &dyn Records,
    lane: &LaneKey,
    hold: &Hold,
    code: &str,
    now: Ms,
) -> Result<HoldNote> {
    let until_ms = hold.until.unwrap_or(now);
    let before = find(records, lane).await?;
    let note = HoldNote {
        reason: hold.reason.to_string(),
        code: code.to_owned(),
        since_ms: before.as_ref().map_or(now, |before| before.since_ms),
        at_ms: now,
        until_ms,
        noticed: before.is_some_and(|before| before.noticed),
    };
    write(records, lane, &note, now).await?;
    Ok(note)
}

/// Writes a changed note.
pub async fn write(records: &dyn Records, lane: &LaneKey, note: &HoldNote, now: Ms) -> Result<()> {
    let left = Duration::from_millis((note.until_ms - now).max(0).unsigned_abs());
    let doc = serde_json::to_vec(note).expect("texts and numbers are always JSON").into();
    records.put(HOLDS, &id(lane), doc, None, Some(left + KEPT_AFTER)).await.map(drop)
}

/// The note of a lane, also if its hold has ended.
pub async fn find(records: &dyn Records, lane: &LaneKey) -> Result<Option<HoldNote>> {
    let found = records.get(HOLDS, &id(lane)).await?;
    // A note that another version wrote says nothing.
    Ok(found.and_then(|record| serde_json::from_slice(&record.doc).ok()))
}

/// Removes the note of a lane. Returns it.
pub async fn forget(records: &dyn Records, lane: &LaneKey) -> Result<Option<HoldNote>> {
    let found = find(records, lane).await?;
    if found.is_some() {
        records.remove(HOLDS, &id(lane), None).await?;
    }
    Ok(found)
}

/// Removes the note of a lane if it was made before `at`.
pub async fn forget_before(records: &dyn Records, lane: &LaneKey, at: Ms) -> Result<()> {
    if find(records, lane).await?.is_some_and(|note| note.at_ms < at) {
        records.remove(HOLDS, &id(lane), None).await?;
    }
    Ok(())
}

fn id(lane: &LaneKey) -> String {
    format!("{}/{}", lane.tenant, lane.id)
}
