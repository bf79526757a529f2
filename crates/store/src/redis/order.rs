//! The order of arrival over several replicas: who is at a lane's head, and may it go?
//!
//! Two replicas may each read one of two neighbouring entries, and the later one may be queued
//! first. So a head goes when nothing that was read before it is unsettled. That is asked *before*
//! the queue is looked at, and a settlement writes the queue before it acknowledges: what is settled
//! by the answer is seen in the queue, and what is not is later than the head. One server answers both
//! in one round trip; in a Cluster the second is asked after the first was answered.

use redis::{Cmd, Value};

use super::connection::Batch;
use super::keys::Tag;
use super::{Core, pack, queue, reply, script};
use crate::{Claim, EntryId, Head, Ms, Result, StoreError};

/// An entry that somebody has had in hand for so long is not waited for: the store refuses to have it
/// settled, and a lane must not stand still for ever. What is gone is taken over long before.
const WAITED_FOR_MS: u128 = 15 * 60 * 1000;

/// Up to where the stream is settled.
struct Settled {
    /// Whatever arrived before this one has its outcome or stands in its queues.
    through: EntryId,
    /// Nothing is unread or unsettled at all.
    all: bool,
}

/// See [`crate::Agenda::head`].
pub(super) async fn head(core: &Core, claim: &Claim, now: Ms) -> Result<Head> {
    let mut known = None;
    loop {
        let mut batch = Batch::one(Tag::Stream, question(core));
        let (tag, look) = queue::due(core, claim, now, 1);
        let (settled, seen) = if core.link.keeps_order() {
            batch.push(tag, look);
            let mut answers = core.link.run(&batch).await?.into_iter();
            let mut next = || answers.next().unwrap_or(Value::Nil);
            (next(), next())
        } else {
            let settled = core.link.run(&batch).await?.pop().unwrap_or(Value::Nil);
            (settled, core.link.ask(tag, look).await?)
        };
        let settled = Settled::read(settled)?;
        let first = queue::read(core, &claim.lane, seen).await?.pop();
        let Some((member, item)) = first else { return Ok(Head::None) };
        let arrival = member.split_once(':').and_then(|(arrival, _)| pack::read_arrival(arrival));
        let is_settled = |arrival: EntryId| {
            let was_known = known.is_some_and(|known| arrival <= known);
            arrival <= settled.through || (settled.all && was_known)
        };
        // What has no place in the stream waits for nothing in it.
        let Some(arrival) = arrival.filter(|arrival| !is_settled(*arrival)) else {
            return Ok(Head::Ready(item));
        };
        // It came after the question, or the server has lost its stream and begun another: then no
        // entry will ever be beyond it. Now that it is known, the question can be put again.
        if !settled.all || known.replace(arrival).is_some() {
            return Ok(Head::Early { due_ms: item.due_ms });
        }
    }
}

fn question(core: &Core) -> Cmd {
    let mut cmd = script::call(&script::SETTLED, &[&core.keys.stream]);
    let longest = WAITED_FOR_MS.max(core.dead_after.as_millis().saturating_mul(2));
    cmd.arg(&core.group).arg(u64::try_from(longest).unwrap_or(u64::MAX).min(1 << 52));
    cmd
}

impl Settled {
    fn read(answer: Value) -> Result<Self> {
        let mut parts = reply::array(answer)?.into_iter();
        let word = reply::text(parts.next().unwrap_or(Value::Nil))?;
        let through = reply::entry_id(parts.next().unwrap_or(Value::Nil))?;
        match word.as_str() {
            "first" | "last" => Ok(Self { through, all: false }),
            "all" => Ok(Self { through, all: true }),
            _ => Err(StoreError::Corrupt("Redis does not say what is settled".to_owned())),
        }
    }
}
