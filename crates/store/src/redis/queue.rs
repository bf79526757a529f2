//! What is due in the queue of a claimed lane: the command, and how its answer is read.

use std::sync::Arc;

use fanfare_contract::DeliveryId;
use redis::{Cmd, Value};

use super::keys::Tag;
use super::{Core, pack, reply, script};
use crate::{Claim, LaneKey, Look, Ms, Result, WaitingItem};

/// The largest number that a script reads exactly.
const MOST: usize = 1 << 52;

/// The command that lists deliveries that are due at `now`.
pub(super) fn due(core: &Core, claim: &Claim, now: Ms, look: Look) -> (Tag, Cmd) {
    let lane = &claim.lane;
    let keys = core.keys.tenant(&lane.tenant);
    let (queue, events) = (keys.queue(&lane.id), keys.events());
    let mut cmd = script::call(&script::DUE, &[&queue, &events, &keys.outcomes(), &keys.leases()]);
    cmd.arg(&*lane.id).arg(pack::quote(&lane.id)).arg(pack::lane_hash(&lane.id));
    cmd.arg(&claim.token).arg(now).arg(look.max.min(MOST)).arg(look.bytes.min(MOST));
    (keys.tag(), cmd)
}

/// Reads the answer to [`due`]: each delivery with its member of the queue.
pub(super) async fn read(
    core: &Core,
    lane: &LaneKey,
    answer: Value,
) -> Result<Vec<(String, WaitingItem)>> {
    let mut parts = reply::array(answer)?.into_iter();
    let mut items = Vec::new();
    while let (Some(member), Some(due), Some(packed), Some(attempts)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    {
        let member = reply::text(member)?;
        let id = member.split_once(':').map_or("", |(_, id)| id);
        let Some(packed) = reply::bytes(packed)? else {
            remove(core, lane, &member).await?;
            continue;
        };
        let item = WaitingItem {
            id: DeliveryId::derive(id, &lane.id),
            event: Arc::new(pack::unpack_event(Arc::clone(&lane.tenant), id, packed)?),
            attempts: u32::try_from(reply::int(&attempts)?).unwrap_or(u32::MAX),
            due_ms: reply::int(&due)?,
        };
        items.push((member, item));
    }
    Ok(items)
}

/// Removes a member whose event is no longer in the store.
async fn remove(core: &Core, lane: &LaneKey, member: &str) -> Result<()> {
    tracing::warn!(
        tenant = %lane.tenant, lane = %lane.id,
        "removed a queued delivery because its event is no longer in the store"
    );
    let keys = core.keys.tenant(&lane.tenant);
    let mut cmd = redis::cmd("ZREM");
    cmd.arg(keys.queue(&lane.id)).arg(member);
    core.link.ask(keys.tag(), cmd).await.map(drop)
}
