//! A store around another that tells how long each call took, how much it moved, and whether it
//! failed, and logs when the store's condition changes. What waits by design (reading an empty log, a change of the agenda) has no time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_contract::{Event, Memo, Tally};
use tokio::time::Instant;

use super::call::Call;
use super::condition::Condition;
use super::{
    Admission, Agenda, Appended, Backlog, Changes, Check, Claim, Counts, DeliveryQuery,
    DeliveryRecord, DeliveryUpdate, Directory, Entry, EntryId, Erased, Erasure, EventQuery,
    EventRecord, EventSummary, Failing, Findings, Head, LaneKey, Ledger, Limits, Log, Look, Ms,
    Next, OpenCircuit, Pacing, Page, Places, Record, Records, Rejected, Result, Rollups, Series,
    Settlement, Share, StatsQuery, Store, StoredTenant, Tail, TenantLimit, Upkeep, Usage,
    WaitingItem,
};

/// Is told of every call. Called on the hot path: must not block.
pub trait Watch: Send + Sync {
    /// One call began.
    fn began(&self, call: Call) {
        let _ = call;
    }

    /// One call ended after `took`, with so many items given or answered.
    fn call(&self, call: Call, took: Duration, items: usize, failed: bool);
}

/// `store`, with `watch` told of every call.
pub fn metered(store: Store, watch: Arc<dyn Watch>) -> Store {
    let metered = Arc::new(Metered { store, condition: Condition::default(), watch });
    Store {
        log: metered.clone(),
        agenda: metered.clone(),
        ledger: metered.clone(),
        directory: metered.clone(),
        records: metered.clone(),
        rollups: metered.clone(),
        limits: metered.clone(),
        memo: metered.clone(),
        upkeep: metered.clone(),
        erasure: metered,
    }
}

struct Metered {
    store: Store,
    condition: Condition,
    watch: Arc<dyn Watch>,
}

impl Metered {
    /// A call that moves one thing.
    async fn one<T>(&self, call: Call, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.timed(call, work, |_| 1).await
    }

    async fn timed<T>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T>>,
        items: impl FnOnce(&T) -> usize,
    ) -> Result<T> {
        let began = Instant::now();
        self.watch.began(call);
        let answer = work.await;
        self.condition.note(call, answer.as_ref().err());
        let count = answer.as_ref().map_or(0, items);
        self.watch.call(call, began.elapsed(), count, answer.is_err());
        answer
    }
}

#[async_trait]
impl Log for Metered {
    async fn append(&self, events: Vec<Arc<Event>>) -> Result<Vec<Appended>> {
        self.timed(Call::Append, self.store.log.append(events), Vec::len).await
    }

    async fn read_shared(
        &self,
        max: usize,
        wait: Duration,
        share: &dyn Share,
    ) -> Result<Vec<Entry>> {
        self.timed(Call::Read, self.store.log.read_shared(max, wait, share), Vec::len).await
    }

    async fn take_over(&self, max: usize) -> Result<Vec<Entry>> {
        self.timed(Call::TakeOver, self.store.log.take_over(max), Vec::len).await
    }

    fn arrived_ms(&self, entry: EntryId, event: &Event) -> Ms {
        self.store.log.arrived_ms(entry, event)
    }

    async fn admit(&self, entries: &[(EntryId, Arc<Event>)]) -> Result<Vec<Admission>> {
        self.timed(Call::Admit, self.store.log.admit(entries), Vec::len).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<()> {
        let size = batch.len();
        self.timed(Call::Settle, self.store.log.settle(batch), |()| size).await
    }
}

#[async_trait]
impl Agenda for Metered {
    async fn claim_limited(
        &self,
        now: Ms,
        lease: Duration,
        max: usize,
        per_tenant: usize,
        limits: &[TenantLimit],
    ) -> Result<Vec<Claim>> {
        let claim = self.store.agenda.claim_limited(now, lease, max, per_tenant, limits);
        self.timed(Call::Claim, claim, Vec::len).await
    }

    async fn more_due(
        &self,
        claim: &Claim,
        now: Ms,
        look: Look,
        taken: &[Arc<str>],
    ) -> Result<Vec<WaitingItem>> {
        let more = self.store.agenda.more_due(claim, now, look, taken);
        self.timed(Call::Due, more, Vec::len).await
    }

    async fn head(&self, claim: &Claim, now: Ms) -> Result<Head> {
        let found = |head: &Head| usize::from(matches!(head, Head::Ready(_)));
        self.timed(Call::Due, self.store.agenda.head(claim, now), found).await
    }

    async fn settle(
        &self,
        lane: &LaneKey,
        updates: Vec<(Arc<Event>, DeliveryUpdate)>,
    ) -> Result<()> {
        let size = updates.len();
        self.timed(Call::SettleLane, self.store.agenda.settle(lane, updates), |()| size).await
    }

    async fn release(&self, claim: &Claim, next: Next) -> Result<()> {
        self.one(Call::Release, self.store.agenda.release(claim, next)).await
    }

    async fn renew(&self, claims: &[Claim], now: Ms, lease: Duration) -> Result<Vec<bool>> {
        self.one(Call::Agenda, self.store.agenda.renew(claims, now, lease)).await
    }

    async fn next_time_without(&self, tenants: &[Arc<str>]) -> Result<Option<Ms>> {
        self.one(Call::Agenda, self.store.agenda.next_time_without(tenants)).await
    }

    async fn changed(&self, at_most: Duration) {
        self.store.agenda.changed(at_most).await;
    }

    async fn reschedule(&self, lane: &LaneKey, at: Ms) -> Result<()> {
        self.one(Call::Agenda, self.store.agenda.reschedule(lane, at)).await
    }

    async fn failing(&self, lane: &LaneKey, at: Ms, gap: Duration) -> Result<Failing> {
        self.one(Call::Agenda, self.store.agenda.failing(lane, at, gap)).await
    }

    async fn well(&self, lane: &LaneKey) -> Result<()> {
        self.one(Call::Agenda, self.store.agenda.well(lane)).await
    }

    async fn waiting(&self, lane: &LaneKey) -> Result<u64> {
        self.one(Call::Agenda, self.store.agenda.waiting(lane)).await
    }
}

#[async_trait]
impl Ledger for Metered {
    async fn event(&self, tenant: &str, id: &str) -> Result<Option<EventRecord>> {
        self.one(Call::Ledger, self.store.ledger.event(tenant, id)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventSummary>> {
        self.one(Call::Ledger, self.store.ledger.events(query)).await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        self.one(Call::Ledger, self.store.ledger.deliveries(query)).await
    }

    async fn tail(&self, tenant: &str, after: u64, limit: usize) -> Result<Tail> {
        self.one(Call::Ledger, self.store.ledger.tail(tenant, after, limit)).await
    }

    async fn rejected(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Rejected>> {
        self.one(Call::Ledger, self.store.ledger.rejected(cursor, limit)).await
    }

    async fn tally(&self, lane: &LaneKey, from: Ms, to: Ms) -> Result<(Vec<Tally>, Vec<Tally>)> {
        self.one(Call::Ledger, self.store.ledger.tally(lane, from, to)).await
    }

    async fn counts(&self, tenant: &str, from: Ms, to: Ms) -> Result<Counts> {
        self.one(Call::Ledger, self.store.ledger.counts(tenant, from, to)).await
    }

    async fn note_indexed(&self) -> Result<()> {
        self.one(Call::Ledger, self.store.ledger.note_indexed()).await
    }

    async fn indexed_since(&self, paths: &[String]) -> Result<Option<u64>> {
        self.one(Call::Ledger, self.store.ledger.indexed_since(paths)).await
    }

    async fn usage(&self, tenants: &[Arc<str>]) -> Result<Vec<Usage>> {
        self.one(Call::Ledger, self.store.ledger.usage(tenants)).await
    }
}

#[async_trait]
impl Rollups for Metered {
    async fn stats(&self, query: &StatsQuery) -> Result<Vec<Series>> {
        self.one(Call::Ledger, self.store.rollups.stats(query)).await
    }

    async fn forget_rollups(&self, before: Ms) -> Result<()> {
        self.one(Call::Upkeep, self.store.rollups.forget_rollups(before)).await
    }
}

#[async_trait]
impl Limits for Metered {
    fn is_shared(&self) -> bool {
        self.store.limits.is_shared()
    }

    async fn take_places(&self, key: &str, pacing: Pacing, most: u32) -> Result<Places> {
        self.one(Call::Agenda, self.store.limits.take_places(key, pacing, most)).await
    }

    async fn replicas(&self) -> Result<u32> {
        self.one(Call::Upkeep, self.store.limits.replicas()).await
    }

    async fn share_circuits(
        &self,
        now: Ms,
        opened: &[OpenCircuit],
        closed: &[OpenCircuit],
    ) -> Result<Vec<OpenCircuit>> {
        self.one(Call::Upkeep, self.store.limits.share_circuits(now, opened, closed)).await
    }
}

#[async_trait]
impl Directory for Metered {
    async fn version(&self) -> Result<u64> {
        self.one(Call::Directory, self.store.directory.version()).await
    }

    async fn count(&self) -> Result<u64> {
        self.one(Call::Directory, self.store.directory.count()).await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<StoredTenant>> {
        self.one(Call::Directory, self.store.directory.list(after, limit)).await
    }

    async fn changed_since(&self, version: u64, limit: usize) -> Result<Changes> {
        self.one(Call::Directory, self.store.directory.changed_since(version, limit)).await
    }

    async fn get(&self, id: &str) -> Result<Option<StoredTenant>> {
        self.one(Call::Directory, self.store.directory.get(id)).await
    }

    async fn put(&self, id: &str, doc: Bytes, expected: Option<u64>) -> Result<u64> {
        self.one(Call::Directory, self.store.directory.put(id, doc, expected)).await
    }

    async fn remove(&self, id: &str) -> Result<bool> {
        self.one(Call::Directory, self.store.directory.remove(id)).await
    }
}

#[async_trait]
impl Records for Metered {
    async fn version(&self, collection: &str) -> Result<u64> {
        self.one(Call::Records, self.store.records.version(collection)).await
    }

    async fn get(&self, collection: &str, id: &str) -> Result<Option<Record>> {
        self.one(Call::Records, self.store.records.get(collection, id)).await
    }

    async fn list(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.one(Call::Records, self.store.records.list(collection, after, limit)).await
    }

    async fn put(
        &self,
        collection: &str,
        id: &str,
        doc: Bytes,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64> {
        let put = self.store.records.put(collection, id, doc, expected, ttl);
        self.one(Call::Records, put).await
    }

    async fn remove(&self, collection: &str, id: &str, expected: Option<u64>) -> Result<bool> {
        self.one(Call::Records, self.store.records.remove(collection, id, expected)).await
    }
}

#[async_trait]
impl Memo for Metered {
    async fn get(&self, key: &str) -> Option<String> {
        let began = Instant::now();
        let value = self.store.memo.get(key).await;
        self.watch.call(Call::Memo, began.elapsed(), 1, false);
        value
    }

    async fn put(&self, key: &str, value: &str, ttl: Duration) {
        let began = Instant::now();
        self.store.memo.put(key, value, ttl).await;
        self.watch.call(Call::Memo, began.elapsed(), 1, false);
    }
}

#[async_trait]
impl Upkeep for Metered {
    fn kind(&self) -> &'static str {
        self.store.upkeep.kind()
    }

    async fn checkup(&self, now: Ms) -> Vec<Check> {
        self.store.upkeep.checkup(now).await
    }

    async fn repair(&self, now: Ms) -> Result<Vec<String>> {
        self.store.upkeep.repair(now).await
    }

    async fn appendable(&self) -> Result<()> {
        self.store.upkeep.appendable().await
    }

    async fn ping(&self) -> Result<()> {
        self.one(Call::Upkeep, self.store.upkeep.ping()).await
    }

    async fn beat(&self, now: Ms) -> Result<()> {
        self.one(Call::Upkeep, self.store.upkeep.beat(now)).await
    }

    async fn leave(&self) -> Result<()> {
        self.store.upkeep.leave().await
    }

    async fn tidy(&self, before: Ms, max: usize) -> Result<u64> {
        self.one(Call::Upkeep, self.store.upkeep.tidy(before, max)).await
    }

    async fn reconcile(&self, now: Ms) -> Result<Findings> {
        self.one(Call::Upkeep, self.store.upkeep.reconcile(now)).await
    }

    async fn inspect(&self, now: Ms) -> Result<Findings> {
        // As long as the store is large: its time says nothing.
        self.store.upkeep.inspect(now).await
    }

    async fn time(&self) -> Result<Option<Ms>> {
        self.one(Call::Upkeep, self.store.upkeep.time()).await
    }

    async fn backlog(&self) -> Result<Backlog> {
        self.one(Call::Upkeep, self.store.upkeep.backlog()).await
    }

    async fn warnings(&self) -> Vec<String> {
        self.store.upkeep.warnings().await
    }
}

#[async_trait]
impl Erasure for Metered {
    async fn erase_events(&self, tenant: &str, ids: &[String], now: Ms) -> Result<Erased> {
        self.one(Call::Upkeep, self.store.erasure.erase_events(tenant, ids, now)).await
    }

    async fn unsettled(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Entry>> {
        self.one(Call::Upkeep, self.store.erasure.unsettled(cursor, limit)).await
    }

    async fn erase_entries(&self, tenant: &str, entries: &[EntryId], now: Ms) -> Result<u64> {
        self.one(Call::Upkeep, self.store.erasure.erase_entries(tenant, entries, now)).await
    }

    async fn erase_rejected(&self, entries: &[String]) -> Result<u64> {
        self.one(Call::Upkeep, self.store.erasure.erase_rejected(entries)).await
    }

    async fn erase_memos(&self, keys: &[String]) -> Result<u64> {
        self.one(Call::Upkeep, self.store.erasure.erase_memos(keys)).await
    }

    async fn forget_tenant(&self, tenant: &str) -> Result<()> {
        self.one(Call::Upkeep, self.store.erasure.forget_tenant(tenant)).await
    }

    async fn elsewhere(&self) -> Vec<String> {
        self.store.erasure.elsewhere().await
    }

    async fn scrub(&self) -> Result<bool> {
        // As long as the store is large: its time says nothing.
        self.store.erasure.scrub().await
    }
}
