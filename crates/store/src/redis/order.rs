//! The order of arrival over several replicas: which delivery is at the head of a lane, and may it
//! go?
//!
//! Two replicas may read neighboring entries, and the later one may be queued first. So a head may
//! go when nothing that was read before it is unsettled. This is asked *before* the queue is read,
//! and a settlement writes the queue before it acknowledges. So whatever is settled according to
//! the answer is visible in the queue. A single server answers both questions in one round trip. In
//! a Cluster, the second question follows the answer to the first.

use redis::{Cmd, Value};

use super::connection::Batch;
use super::keys::Tag;
use super::{Core, pack, queue, reply, script};
use crate::{Claim, EntryId, Head, Look, Ms, Result, StoreError};

/// An entry that stayed unsettled for this long is ignored: the store refuses to settle it, and a
/// lane must not stop for it. Entries of a stopped replica are taken over long before.
const WAITED_FOR_MS: u128 = 15 * 60 * 1000;

/// Up to where the stream is settled.
struct Settled {
    /// Every entry up to this one has its outcome or is in its queues.
    through: EntryId,
    /// Nothing is unread or unsettled.
    all: bool,
}

/// See [`crate::Agenda::head`].
pub(super) async fn head(core: &Core, claim: &Claim, now: Ms) -> Result<Head> {
    let mut known = None;
    loop {
        let mut batch = Batch::one(Tag::Stream, question(core));
        let (tag, look) = queue::due(core, claim, now, Look { max: 1, bytes: usize::MAX });
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
        // A delivery without a position in the stream does not wait for entries of the stream.
        let Some(arrival) = arrival.filter(|arrival| !is_settled(*arrival)) else {
            return Ok(Head::Ready(item));
        };
        // The head arrived after the question. Or the server has lost its stream and started a new
        // one, whose entries are all below the head. Ask again, now that the head is known.
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
            _ => Err(StoreError::Other {
                message: "Redis gave an unexpected answer about settled entries".to_owned(),
                source: None,
            }),
        }
    }
}
