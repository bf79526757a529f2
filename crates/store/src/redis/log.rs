//! The log: a stream that producers of any language write, read by a consumer group.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fanfare_contract::Event;
use redis::{Cmd, RedisWrite as _, Value};

use super::connection::Batch;
use super::consumers::Watch;
use super::keys::{Tag, TenantKeys};
use super::pace::Pace;
use super::reader::Reader;
use super::rollups::Gathered;
use super::{Core, enter, pack, reply, script, search};
use crate::{
    Admission, Appended, Change, DeliveryUpdate, Entry, EntryId, Log, Ms, Outcome, Rejected,
    Result, Settlement, Share,
};

/// Most events in one script, which blocks other clients for about a millisecond.
const EVENTS_A_SCRIPT: usize = 500;
/// Most bytes of bodies in one script or pipeline.
const BYTES_AT_ONCE: usize = 4 << 20;
/// Approximate bytes of an event or an outcome without the event's body.
const HEAD: usize = 320;
/// Most rejected entries that are kept: at 64 KiB each, 640 MiB at worst.
const REJECTED_KEPT: usize = 10_000;

/// See the trait.
pub(super) struct RedisLog {
    core: Arc<Core>,
    reader: Arc<Reader>,
    watch: Watch,
    pace: Pace,
}

impl RedisLog {
    pub(super) fn new(core: Arc<Core>, reader: Arc<Reader>) -> Self {
        Self { core, reader, watch: Watch::default(), pace: Pace::default() }
    }
}

#[async_trait]
impl Log for RedisLog {
    async fn append(&self, events: Vec<Arc<Event>>) -> Result<Vec<Appended>> {
        // The stream and a tenant's keys may be on different nodes of a Cluster.
        if let [event] = &events[..]
            && self.core.bulk.keeps_order()
            && let Some(pass) = self.reader.handoff.pass()
            && let Some(appended) = enter::enter(&self.core, &self.reader, event, pass).await?
        {
            return Ok(vec![appended]);
        }
        let Some(tenant) = events.first().map(|event| &event.tenant) else {
            return Ok(Vec::new());
        };
        let _adding = if self.reader.is_registered() {
            Some(self.pace.enter(&self.core, tenant, events.len()).await?)
        } else {
            None
        };
        let seal = self.core.seal().await?;
        let mut answers = Vec::with_capacity(events.len());
        let mut met = HashSet::new();
        for part in parts(&events, |event| event.body.len()) {
            let mut batch = Batch::new();
            batch.confirm(Tag::Stream);
            for event in part {
                let keys = self.core.keys.tenant(&event.tenant);
                let mut known = Cmd::with_capacity(3, 96);
                known.arg("HEXISTS").arg(keys.events()).arg(&*event.id);
                batch.push(keys.tag(), known);
                let mut cmd = Cmd::with_capacity(13, event.body.len() + 192);
                cmd.arg("XADD").arg(&*self.core.keys.stream).arg("*");
                seal.add_entry(&mut cmd, event);
                batch.push(Tag::Stream, cmd);
            }
            let mut length = redis::cmd("XLEN");
            length.arg(&*self.core.keys.stream);
            batch.push(Tag::Stream, length);
            let mut replies = self.core.bulk.run(&batch).await?;
            self.pace.note(&replies.pop().unwrap_or(Value::Nil));
            // Two answers per event: whether it was known, and its entry id. A known event is added
            // all the same, because both keys may be on different nodes. `admit` recognizes the
            // duplicate.
            answers.extend(part.iter().zip(replies.iter().step_by(2)).map(|(event, known)| {
                let is_new = met.insert((&event.tenant, &event.id)) && *known != Value::Int(1);
                if is_new { Appended::Accepted } else { Appended::Duplicate }
            }));
        }
        Ok(answers)
    }

    async fn read_shared(
        &self,
        max: usize,
        wait: Duration,
        share: &dyn Share,
    ) -> Result<Vec<Entry>> {
        self.reader.read(max, wait, share).await
    }

    async fn take_over(&self, max: usize) -> Result<Vec<Entry>> {
        self.watch.take_over(&self.core, &self.reader, max).await
    }

    fn arrived_ms(&self, entry: EntryId, _: &Event) -> Ms {
        // Times are scores, which are exact up to 2^53.
        Ms::try_from(entry.major.min(1 << 53)).unwrap_or(1 << 53)
    }

    async fn admit(&self, entries: &[(EntryId, Arc<Event>)]) -> Result<Vec<Admission>> {
        let known = |(entry, _): &(EntryId, Arc<Event>)| self.reader.admission(*entry);
        if let Some(known) = entries.iter().map(known).collect() {
            return Ok(known);
        }
        admit(&self.core, entries).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<()> {
        self.reject(&batch).await?;
        let missing = self.write(&batch).await?;
        if !missing.is_empty() {
            // The server lost its data between admit and settle. A waiting delivery needs its
            // event.
            admit(&self.core, &missing).await?;
            if !self.write(&batch).await?.is_empty() {
                return Err(super::events_disappear());
            }
        }
        self.acknowledge(&batch).await?;
        self.reader.settled(batch.iter().map(|settlement| settlement.entry));
        self.pace.settled(batch.len());
        Ok(())
    }
}

impl RedisLog {
    async fn reject(&self, batch: &[Settlement]) -> Result<()> {
        let rejected: Vec<(EntryId, &Rejected)> = batch
            .iter()
            .filter_map(|settlement| match &settlement.outcome {
                Outcome::Rejected(rejected) => Some((settlement.entry, rejected)),
                _ => None,
            })
            .collect();
        let (index, data) = (self.core.keys.rejected_index(), self.core.keys.rejected_data());
        for part in parts(&rejected, |(_, rejected)| rejected.raw.len()) {
            let mut cmd = script::call(&script::REJECT, &[&index, &data]);
            cmd.arg(REJECTED_KEPT).arg(millis(self.core.retention));
            for (entry, rejected) in part {
                let kept = serde_json::to_string(rejected).expect("texts are always JSON");
                cmd.arg(format!("{}:{entry}", pack::arrival(*entry)));
                cmd.arg(rejected.at_ms).arg(entry.to_string()).arg(kept);
            }
            let mut batch = Batch::one(Tag::Rejected, cmd);
            let base = self.core.keys.rejected_base();
            self.core.bulk.have_confirmed(&mut batch, Tag::Rejected, &base);
            self.core.bulk.run(&batch).await?;
        }
        Ok(())
    }

    /// Writes outcomes. Returns the entries with waiting deliveries whose event the store does not
    /// know.
    async fn write(&self, batch: &[Settlement]) -> Result<Vec<(EntryId, Arc<Event>)>> {
        let mut left: Vec<Written<'_>> = batch.iter().filter_map(Written::of).collect();
        let mut missing = Vec::new();
        // A script writes nothing if an event needs no outcome. Those are left out then, and what
        // is left is sent again.
        while !left.is_empty() {
            let mut again = HashSet::new();
            for (places, answer) in self.write_some(&left).await? {
                let mut parts = reply::array(answer)?.into_iter();
                let unknown = ids(parts.next())?;
                let done = ids(parts.next())?;
                for place in places.iter().filter(|_| !(unknown.is_empty() && done.is_empty())) {
                    let written = &left[*place];
                    if unknown.contains(&*written.event.id) {
                        missing.push((written.entry, Arc::clone(written.event)));
                    } else if !done.contains(&*written.event.id) {
                        again.insert(written.entry);
                    }
                }
            }
            left.retain(|written| again.contains(&written.entry));
        }
        Ok(missing)
    }

    /// Sends one script for each tenant and part. Returns the places of each with its answer.
    async fn write_some(&self, written: &[Written<'_>]) -> Result<Vec<(Vec<usize>, Value)>> {
        let tenants = by_tenant(written, |written| &written.event.tenant);
        let mut scripts = Batch::new();
        let mut places_of_scripts = Vec::new();
        let mut waits = false;
        for (tenant, places) in &tenants {
            let keys = self.core.keys.tenant(tenant);
            for part in places.chunks(EVENTS_A_SCRIPT) {
                let (cmd, has_waiting) = self.settle_call(&keys, written, part);
                waits |= has_waiting;
                scripts.push(keys.tag(), cmd);
                places_of_scripts.push(part.to_vec());
            }
        }
        for tenant in tenants.keys() {
            let keys = self.core.keys.tenant(tenant);
            self.core.bulk.have_confirmed(&mut scripts, keys.tag(), &keys.base);
        }
        let answers = self.core.bulk.run(&scripts).await?;
        if waits {
            self.core.changed.notify_one();
        }
        Ok(places_of_scripts.into_iter().zip(answers).collect())
    }

    /// The script that writes a part of the outcomes of a tenant, and whether a delivery waits.
    fn settle_call(&self, keys: &TenantKeys, all: &[Written<'_>], part: &[usize]) -> (Cmd, bool) {
        let names = [
            keys.outcomes(),
            keys.events(),
            keys.agenda(),
            keys.lanes(),
            keys.leases(),
            keys.erased(),
            keys.usage(),
        ];
        let names = names.each_ref().map(String::as_str);
        let mut gathered = Gathered::default();
        for place in part {
            gathered.settled(all[*place].event, all[*place].updates);
        }
        let (arguments, bytes) = (64 + 3 * part.len(), HEAD * part.len());
        let mut cmd = script::call_with(&script::SETTLE, &names, arguments, bytes);
        cmd.arg(&keys.base).arg(&keys.name);
        // After the base, the tenant, and where the events begin.
        gathered.add_to(&mut cmd, &self.core, 3);
        let mut waits = false;
        for place in part {
            waits |= all[*place].add_to(&mut cmd);
        }
        (cmd, waits)
    }

    async fn acknowledge(&self, batch: &[Settlement]) -> Result<()> {
        let mut scripts = Batch::new();
        let account = self.core.keys.account();
        for part in batch.chunks(EVENTS_A_SCRIPT) {
            let keys = [&*self.core.keys.stream, &account];
            let mut cmd = script::call_with(&script::ACK, &keys, 1 + part.len(), 24 * part.len());
            cmd.arg(&self.core.group);
            for settlement in part {
                cmd.arg(settlement.entry.to_string());
            }
            scripts.push(Tag::Stream, cmd);
        }
        self.core.bulk.run(&scripts).await.map(drop)
    }
}

/// Records events in the ledger, each once.
pub(super) async fn admit(
    core: &Core,
    entries: &[(EntryId, Arc<Event>)],
) -> Result<Vec<Admission>> {
    let tenants = by_tenant(entries, |(_, event)| &event.tenant);
    let mut scripts = Batch::new();
    let mut places_of_scripts = Vec::new();
    for (tenant, places) in &tenants {
        let keys = core.keys.tenant(tenant);
        for part in parts(places, |place| entries[*place].1.body.len()) {
            let names = [
                keys.events(),
                keys.outcomes(),
                keys.log(),
                keys.tenants(),
                keys.seen(),
                keys.last_seen(),
                keys.erased(),
                keys.usage(),
            ];
            let size = |place: &usize| entries[*place].1.body.len() + HEAD;
            let bytes = part.iter().map(size).sum();
            let names = names.each_ref().map(String::as_str);
            let mut cmd = script::call_with(&script::ADMIT, &names, 2 + 5 * part.len(), bytes);
            cmd.arg(&keys.base).arg(&keys.name);
            for place in part {
                let (entry, event) = &entries[*place];
                let arrival = pack::arrival(*entry);
                cmd.arg(&*event.id).arg(&arrival).arg(event.received_ms);
                arg_of(&mut cmd, &pack::event_parts(&arrival, &pack::head(event), event));
                cmd.arg(search::hashes(core, &event.body));
            }
            scripts.push(keys.tag(), cmd);
            places_of_scripts.push(part);
        }
    }
    let mut admissions = vec![Admission::Fresh; entries.len()];
    for (places, answer) in places_of_scripts.into_iter().zip(core.bulk.run(&scripts).await?) {
        for (place, digit) in places.iter().zip(reply::text(answer)?.bytes()) {
            admissions[*place] = match digit {
                b'0' => Admission::Fresh,
                b'1' => Admission::Settled,
                _ => Admission::Duplicate,
            };
        }
    }
    Ok(admissions)
}

/// One argument that is written from its parts, without a copy.
fn arg_of(cmd: &mut Cmd, parts: &[&[u8]]) {
    let mut arg = cmd.writer_for_next_arg();
    for part in parts {
        arg.write_all(part).expect("memory takes all");
    }
}

/// An outcome that is written to the ledger.
struct Written<'a> {
    entry: EntryId,
    event: &'a Arc<Event>,
    updates: &'a [DeliveryUpdate],
}

impl<'a> Written<'a> {
    fn of(settlement: &'a Settlement) -> Option<Self> {
        let (event, updates) = match &settlement.outcome {
            Outcome::Routed(event, updates) => (event, updates.as_slice()),
            Outcome::Unrouted(event) => (event, &[][..]),
            Outcome::Duplicate | Outcome::Rejected(_) => return None,
        };
        Some(Self { entry: settlement.entry, event, updates })
    }

    /// Adds the script's arguments. True if a delivery waits.
    fn add_to(&self, cmd: &mut Cmd) -> bool {
        let arrival = pack::arrival(self.entry);
        cmd.arg(&*self.event.id);
        cmd.arg(pack::pack_outcome(&arrival, self.event.received_ms, self.updates));
        let delivered = |update: &&DeliveryUpdate| update.change == Change::Delivered;
        cmd.arg(self.updates.iter().filter(|update| !delivered(update)).count());
        let mut waits = false;
        for update in self.updates {
            let state = update.change.target();
            let Some(reason) = state.reason() else { continue };
            cmd.arg(pack::letter(state.kind())).arg(&*update.lane);
            if let Some((due_ms, serve_ms)) = state.times() {
                waits = true;
                cmd.arg(due_ms).arg(serve_ms);
            } else {
                cmd.arg(update.at_ms).arg(pack::quote(&reason.as_text()));
            }
        }
        waits
    }
}

/// The ids in one part of the answer of the script.
fn ids(part: Option<Value>) -> Result<HashSet<String>> {
    reply::array(part.unwrap_or(Value::Nil))?.into_iter().map(reply::text).collect()
}

/// Indexes of the items by tenant, in order.
fn by_tenant<'a, T>(
    items: &'a [T],
    tenant: impl Fn(&'a T) -> &'a Arc<str>,
) -> HashMap<&'a str, Vec<usize>> {
    let mut tenants: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        tenants.entry(tenant(item)).or_default().push(place);
    }
    tenants
}

/// Splits items into parts that are bounded in number and bytes.
fn parts<T>(items: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, item) in items.iter().enumerate() {
        let more = size(item);
        if at > start && (at - start == EVENTS_A_SCRIPT || bytes + more > BYTES_AT_ONCE) {
            parts.push(&items[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += more;
    }
    if start < items.len() {
        parts.push(&items[start..]);
    }
    parts
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_everything_in_order_and_are_bounded() {
        let sizes: Vec<usize> =
            (0..1_700).map(|n| if n == 3 { BYTES_AT_ONCE * 2 } else { 10 }).collect();
        let cut = parts(&sizes, |size| *size);
        assert_eq!(cut.concat(), sizes);
        assert!(cut.iter().all(|part| part.len() <= EVENTS_A_SCRIPT));
        assert!(
            cut.iter().all(|part| part.len() == 1 || part.iter().sum::<usize>() <= BYTES_AT_ONCE)
        );
        assert!(parts(&[] as &[usize], |size| *size).is_empty());
    }
}
