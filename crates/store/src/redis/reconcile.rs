//! Reconciliation: compares what must agree, and repairs what does not. So nothing stays stranded,
//! whatever an answer that came late, a server that lost data, or a person has done.
//!
//! | compared | repaired by |
//! | --- | --- |
//! | entries pending for this replica, and what it has in hand | handing them to the reader |
//! | entries that were read, and entries that are pending | claiming them |
//! | admitted events without an outcome, and entries of the log | routing them again |
//! | waiting deliveries, and queues, and lines of the agenda | adding what is missing |
//! | entries that were added, and those read or still there | reporting what was removed unread |
//!
//! Each replica does the first for itself. One replica at a time does the others, a bounded step in
//! each round.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::sync::Mutex;

use super::connection::Batch;
use super::consumers;
use super::keys::{SHARDS, Tag, TenantKeys};
use super::reader::Reader;
use super::{Core, pack, reply, script};
use crate::{Entry, EntryId, Findings, Ms, Payload, Result};

/// An entry that was delivered less than this ago may still be on its way to this replica.
const ON_ITS_WAY: Duration = Duration::from_secs(3);
/// An entry of a living replica that is pending for this long is reported by an inspection.
const LONG_PENDING: Duration = Duration::from_mins(15);
/// Pending entries in one answer.
const PENDING_PAGE: usize = 1_000;
/// Entries that are claimed at once.
const CLAIMED: usize = 64;
/// Tenants that one round looks at.
const TENANTS: usize = 64;
/// Events that one script looks at.
const EVENTS: usize = 200;
/// How long no other replica routes an event again that this one has taken.
const TAKEN_FOR: Duration = Duration::from_mins(2);
/// When a lane is free whose holder has lost its line. The holder renews it long before.
const FREE_AFTER: Duration = Duration::from_mins(1);
/// How long one replica keeps the others from doing the same round.
const TURN: Duration = Duration::from_secs(8);

/// Reconciles the keys of one server for one replica.
pub(super) struct Reconciler {
    core: Arc<Core>,
    reader: Arc<Reader>,
    place: Mutex<Place>,
}

/// Where the next round continues.
#[derive(Default)]
struct Place {
    shard: u8,
    /// The last tenant of the shard that was looked at.
    tenant: Option<String>,
    /// For tenants with many waiting deliveries, how many of their events were looked at.
    waiting: HashMap<String, usize>,
}

/// Whether to repair, or only to count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Repair,
    Look,
}

impl Reconciler {
    pub(super) fn new(core: Arc<Core>, reader: Arc<Reader>) -> Self {
        Self { core, reader, place: Mutex::default() }
    }

    /// One round. See [`crate::Upkeep::reconcile`].
    pub(super) async fn round(&self, now: Ms) -> Result<Findings> {
        let mut found = Findings { stranded: self.stranded().await?, ..Findings::default() };
        if !self.has_turn().await? {
            return Ok(found);
        }
        self.renew_exhausted_stream().await?;
        found.orphaned = self.orphaned(Mode::Repair).await?;
        found.trimmed = self.trimmed().await?;
        let mut place = self.place.lock().await;
        for keys in self.next_tenants(&mut place).await? {
            found.unlogged += self.unlogged(&keys, now, Mode::Repair).await?;
            let looked = place.waiting.remove(&keys.name).unwrap_or(0);
            let (looked, wrong) = self.unscheduled(&keys, now, looked, Mode::Repair).await?;
            found.unscheduled += wrong;
            if let Some(looked) = looked {
                place.waiting.insert(keys.name.clone(), looked);
            }
        }
        Ok(found)
    }

    /// Looks at everything and changes nothing. See [`crate::Upkeep::inspect`].
    pub(super) async fn inspect(&self, now: Ms) -> Result<Findings> {
        let mut found = Findings {
            stranded: self.long_pending().await?,
            orphaned: self.orphaned(Mode::Look).await?,
            ..Findings::default()
        };
        for shard in 0..SHARDS {
            for keys in self.tenants(shard).await? {
                found.unlogged += self.unlogged(&keys, now, Mode::Look).await?;
                let mut looked = Some(0);
                while let Some(from) = looked {
                    let (next, wrong) = self.unscheduled(&keys, now, from, Mode::Look).await?;
                    found.unscheduled += wrong;
                    looked = next;
                }
            }
        }
        Ok(found)
    }

    /// Entries that were removed from the stream before they were read, since the last round.
    async fn trimmed(&self) -> Result<u64> {
        let names = [&*self.core.keys.stream, &self.core.keys.account()];
        let mut cmd = script::call(&script::TRIMMED, &names);
        cmd.arg(&self.core.group);
        reply::count(&self.core.link.ask(Tag::Stream, cmd).await?)
    }

    /// Puts back every waiting delivery that has no place, and counts again how many wait. The rest
    /// of reconciliation needs a server that routes.
    pub(super) async fn schedule_all(&self, now: Ms) -> Result<u64> {
        let mut found = 0;
        for shard in 0..SHARDS {
            for keys in self.tenants(shard).await? {
                let mut looked = Some(0);
                while let Some(from) = looked {
                    let (next, wrong) = self.unscheduled(&keys, now, from, Mode::Repair).await?;
                    found += wrong;
                    looked = next;
                }
            }
        }
        Ok(found)
    }

    /// Entries that the server holds pending for this replica and that it does not have in hand.
    async fn stranded(&self) -> Result<u64> {
        let seal = self.core.seal().await?;
        // What is settled while this runs was in hand before.
        let before = self.reader.in_hand();
        let mut found = 0;
        let mut from = "-".to_owned();
        loop {
            let pending = self.pending(&from, &self.core.replica, ON_ITS_WAY).await?;
            let last = pending.last().map(|(id, _)| *id);
            let full = pending.len() == PENDING_PAGE;
            let lost: Vec<EntryId> = pending.into_iter().map(|(id, _)| id).collect();
            let lost = self.reader.not_in_hand(lost, &before);
            for part in lost.chunks(self.reader.bounded(CLAIMED)) {
                let mut cmd = redis::cmd("XCLAIM");
                cmd.arg(&*self.core.keys.stream).arg(&self.core.group).arg(&self.core.replica);
                cmd.arg(0);
                for id in part {
                    cmd.arg(id.to_string());
                }
                let entries = reply::array(self.core.bulk.ask(Tag::Stream, cmd).await?)?;
                let entries = self.reader.took(&seal, present(entries))?;
                found += entries.len() as u64;
                self.reader.handoff.put(entries);
            }
            match last.filter(|_| full) {
                Some(last) => from = format!("({last}"),
                None => return Ok(found),
            }
        }
    }

    /// Entries that are pending for a replica without a heartbeat, or for very long.
    async fn long_pending(&self) -> Result<u64> {
        let alive = consumers::alive(&self.core).await?;
        let mut found = 0;
        let mut from = "-".to_owned();
        loop {
            let pending = self.pending_of_all(&from).await?;
            let is_stranded = |(_, consumer, idle): &(EntryId, String, Duration)| {
                *idle >= LONG_PENDING || (!alive.contains(consumer) && *idle >= ON_ITS_WAY * 10)
            };
            found += pending.iter().filter(|line| is_stranded(line)).count() as u64;
            match pending.last().filter(|_| pending.len() == PENDING_PAGE) {
                Some((last, ..)) => from = format!("({last}"),
                None => return Ok(found),
            }
        }
    }

    async fn pending(
        &self,
        from: &str,
        replica: &str,
        idle: Duration,
    ) -> Result<Vec<(EntryId, Duration)>> {
        let mut cmd = redis::cmd("XPENDING");
        cmd.arg(&*self.core.keys.stream).arg(&self.core.group);
        cmd.arg("IDLE").arg(millis(idle)).arg(from).arg("+").arg(PENDING_PAGE).arg(replica);
        let lines = self.lines(cmd).await?;
        Ok(lines.into_iter().map(|(id, _, idle)| (id, idle)).collect())
    }

    async fn pending_of_all(&self, from: &str) -> Result<Vec<(EntryId, String, Duration)>> {
        let mut cmd = redis::cmd("XPENDING");
        cmd.arg(&*self.core.keys.stream).arg(&self.core.group);
        cmd.arg(from).arg("+").arg(PENDING_PAGE);
        self.lines(cmd).await
    }

    async fn lines(&self, cmd: Cmd) -> Result<Vec<(EntryId, String, Duration)>> {
        let answer = match self.core.link.run_once(&Batch::one(Tag::Stream, cmd)).await {
            Ok(mut values) => values.pop().unwrap_or(Value::Nil),
            Err(fault) if fault.no_group => return Ok(Vec::new()),
            Err(fault) => return Err(fault.into()),
        };
        let line = |line: Value| {
            let mut parts = reply::array(line)?.into_iter();
            let mut next = || parts.next().unwrap_or(Value::Nil);
            let (id, consumer) = (reply::entry_id(next())?, reply::text(next())?);
            Ok((id, consumer, Duration::from_millis(reply::count(&next())?)))
        };
        reply::array(answer)?.into_iter().map(line).collect()
    }

    /// Entries that were read and are pending for no replica: their consumer was removed.
    async fn orphaned(&self, mode: Mode) -> Result<u64> {
        let seal = self.core.seal().await?;
        let consumer = if mode == Mode::Repair { &*self.core.replica } else { "" };
        let mut found = 0;
        let mut after = "0-0".to_owned();
        loop {
            let mut cmd = script::call(&script::ORPHANS, &[&self.core.keys.stream]);
            cmd.arg(&self.core.group).arg(consumer).arg(&after);
            let mut parts = reply::array(self.core.bulk.ask(Tag::Stream, cmd).await?)?.into_iter();
            let mut next = || parts.next().unwrap_or(Value::Nil);
            found += reply::count(&next())?;
            after = reply::text(next())?;
            let entries = self.reader.took(&seal, present(reply::array(next())?))?;
            self.reader.handoff.put(entries);
            if after.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Events of a tenant that are admitted and not settled, and whose entry is not in the log.
    async fn unlogged(&self, keys: &TenantKeys, now: Ms, mode: Mode) -> Result<u64> {
        let names = [keys.seen(), keys.outcomes(), keys.log(), keys.settled_mark()];
        let mut cmd = script::call(&script::UNSETTLED, &names.each_ref().map(String::as_str));
        let old = self.core.dead_after.saturating_mul(2).min(Duration::from_hours(1));
        cmd.arg(now - millis(old)).arg(EVENTS);
        let members = reply::array(self.core.link.ask(keys.tag(), cmd).await?)?;
        let mut open = Vec::new();
        for member in members {
            let member = reply::text(member)?;
            let Some((arrival, id)) = member.split_once(':') else { continue };
            let Some(entry) = pack::read_arrival(arrival) else { continue };
            open.push((entry, id.to_owned()));
        }
        let mut lost = self.not_in_the_log(open).await?;
        lost.retain(|(entry, _)| !self.reader.has(*entry));
        let lost = self.without_outcome(keys, lost).await?;
        if mode == Mode::Repair {
            self.route_again(keys, &lost).await?;
        }
        Ok(lost.len() as u64)
    }

    async fn not_in_the_log(&self, open: Vec<(EntryId, String)>) -> Result<Vec<(EntryId, String)>> {
        if open.is_empty() {
            return Ok(open);
        }
        let mut cmd = script::call(&script::THERE, &[&self.core.keys.stream]);
        for (entry, _) in &open {
            cmd.arg(entry.to_string());
        }
        let digits = reply::text(self.core.link.ask(Tag::Stream, cmd).await?)?;
        let is_lost = |digit: u8| digit == b'0';
        Ok(open
            .into_iter()
            .zip(digits.bytes())
            .filter(|(_, d)| is_lost(*d))
            .map(|(e, _)| e)
            .collect())
    }

    /// Those that still have no outcome. One that was settled meanwhile has left the log for that.
    async fn without_outcome(
        &self,
        keys: &TenantKeys,
        lost: Vec<(EntryId, String)>,
    ) -> Result<Vec<(EntryId, String)>> {
        let mut batch = Batch::new();
        for (_, id) in &lost {
            let mut cmd = redis::cmd("HEXISTS");
            cmd.arg(keys.outcomes()).arg(id);
            batch.push(keys.tag(), cmd);
        }
        let answers = self.core.link.run(&batch).await?;
        let open = |(event, answer)| (answer == Value::Int(0)).then_some(event);
        Ok(lost.into_iter().zip(answers).filter_map(open).collect())
    }

    /// Gives events to the reader as if their entries had been read. Settling them writes their
    /// outcome and acknowledges nothing.
    async fn route_again(&self, keys: &TenantKeys, lost: &[(EntryId, String)]) -> Result<()> {
        let mut batch = Batch::new();
        for (_, id) in lost {
            let mut take = redis::cmd("SET");
            take.arg(keys.taken_again(id)).arg(&self.core.replica).arg("NX");
            take.arg("PX").arg(millis(TAKEN_FOR));
            batch.push(keys.tag(), take);
            let mut event = redis::cmd("HGET");
            event.arg(keys.events()).arg(id);
            batch.push(keys.tag(), event);
        }
        let mut answers = self.core.link.run(&batch).await?.into_iter();
        let tenant: Arc<str> = super::keys::unescape(&keys.name).into();
        let mut entries = Vec::new();
        for (entry, id) in lost {
            let (taken, event) = (answers.next(), answers.next().unwrap_or(Value::Nil));
            let Some(packed) = reply::bytes(event)? else { continue };
            if taken.is_none_or(|answer| answer == Value::Nil) {
                continue;
            }
            let event = pack::unpack_event(Arc::clone(&tenant), id, packed)?;
            entries.push(Entry { id: *entry, payload: Payload::Event(Arc::new(event)) });
        }
        let entries = self.reader.adopt(entries);
        self.reader.handoff.put(entries);
        Ok(())
    }

    /// Looks at a tenant's waiting deliveries from a rank on. Returns where to continue, and what
    /// was wrong.
    async fn unscheduled(
        &self,
        keys: &TenantKeys,
        now: Ms,
        from: usize,
        mode: Mode,
    ) -> Result<(Option<usize>, u64)> {
        let names = [
            keys.index("w"),
            keys.events(),
            keys.outcomes(),
            keys.agenda(),
            keys.lanes(),
            keys.leases(),
            keys.usage(),
        ];
        let mut cmd = script::call(&script::RELINE, &names.each_ref().map(String::as_str));
        cmd.arg(&keys.base).arg(&keys.name).arg(from).arg(EVENTS);
        cmd.arg(now).arg(now + millis(FREE_AFTER)).arg(u8::from(mode == Mode::Repair));
        let answer = reply::array(self.core.link.ask(keys.tag(), cmd).await?)?;
        let part = |at: usize| answer.get(at).map_or(Ok(0), reply::count);
        let (looked, wrong) = (usize::try_from(part(0)?).unwrap_or(EVENTS), part(1)?);
        if wrong > 0 && mode == Mode::Repair {
            self.core.changed.notify_one();
        }
        Ok(((looked == EVENTS).then_some(from + looked), wrong))
    }

    /// A stream at its last possible id takes no more entries. Once it is empty, it is replaced.
    async fn renew_exhausted_stream(&self) -> Result<()> {
        let mut cmd = script::call(&script::RENEW_STREAM, &[&self.core.keys.stream]);
        cmd.arg(&self.core.group);
        if self.core.link.ask(Tag::Stream, cmd).await? == Value::Int(1) {
            tracing::warn!(
                stream = %self.core.keys.stream,
                "the stream had reached its last possible id; it was empty and was made again"
            );
        }
        Ok(())
    }

    /// Whether this replica does this round for all.
    async fn has_turn(&self) -> Result<bool> {
        let mut cmd = redis::cmd("SET");
        cmd.arg(self.core.keys.reconciling()).arg(&self.core.replica).arg("NX");
        cmd.arg("PX").arg(millis(TURN));
        Ok(self.core.link.ask(Tag::Replicas, cmd).await? != Value::Nil)
    }

    /// The next tenants, shard by shard. After the last one, the first one follows in the next
    /// round.
    async fn next_tenants(&self, place: &mut Place) -> Result<Vec<TenantKeys>> {
        let mut next = Vec::new();
        while place.shard < SHARDS {
            let mut tenants = self.tenants(place.shard).await?;
            tenants.sort_by(|a, b| a.name.cmp(&b.name));
            let is_next =
                |keys: &TenantKeys| place.tenant.as_ref().is_none_or(|last| keys.name > *last);
            next.extend(tenants.into_iter().filter(is_next).take(TENANTS - next.len()));
            if next.len() == TENANTS {
                place.tenant = next.last().map(|keys| keys.name.clone());
                return Ok(next);
            }
            (place.shard, place.tenant) = (place.shard + 1, None);
        }
        place.shard = 0;
        Ok(next)
    }

    async fn tenants(&self, shard: u8) -> Result<Vec<TenantKeys>> {
        let mut cmd = redis::cmd("SMEMBERS");
        cmd.arg(self.core.keys.tenants(shard));
        reply::array(self.core.link.ask(Tag::Shard(shard), cmd).await?)?
            .into_iter()
            .map(|name| Ok(self.core.keys.escaped(shard, reply::text(name)?)))
            .collect()
    }
}

/// Entries without those that the stream does not have any more.
fn present(entries: Vec<Value>) -> Vec<Value> {
    entries.into_iter().filter(|entry| *entry != Value::Nil).collect()
}

fn millis(duration: Duration) -> Ms {
    Ms::try_from(duration.as_millis()).unwrap_or(Ms::MAX / 4)
}
