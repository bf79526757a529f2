//! One pass over everything that may belong to an erasure: counts it, and erases it.

use std::collections::HashSet;
use std::sync::Arc;

use fanfare_contract::{Event, Json};

use super::request::{Erasing, Extent, Found};
use crate::agenda::Clock;
use crate::event::own_event_id;
use crate::tenant::{self, TenantSpec};
use fanfare_store::{
    DeliveryRecord, Entry, EntryId, Erased, EventQuery, EventRecord, Ms, Payload, Rejected, Result,
    SearchKey, Store, StoreError,
};

/// Events, entries or dead letters read at once.
const PAGE: usize = 50;

/// One pass.
pub(super) struct Round<'a> {
    store: &'a Store,
    erasing: &'a Erasing,
    /// `None` to only count.
    clock: Option<Clock>,
    pub(super) spec: Option<TenantSpec>,
    pub(super) found: Found,
    /// Events of the subject that were counted: an event may be found by several of its values.
    seen: HashSet<Arc<str>>,
}

impl<'a> Round<'a> {
    pub(super) async fn new(
        store: &'a Store,
        erasing: &'a Erasing,
        clock: Option<Clock>,
    ) -> Result<Self> {
        let spec = match tenant::stored(store, &erasing.tenant).await {
            Ok(stored) => stored.map(|(spec, _)| spec),
            // An unreadable document must not prevent the erasure.
            Err(StoreError::Corrupt(_)) => None,
            Err(error) => return Err(error),
        };
        let (found, seen) = (Found::default(), HashSet::new());
        Ok(Self { store, erasing, clock, spec, found, seen })
    }

    /// Covers entries, events and rejected entries.
    pub(super) async fn all(&mut self, done: &(dyn Fn(&Found) + Sync)) -> Result<()> {
        self.entries(done).await?;
        self.events(done).await?;
        self.rejected(done).await
    }

    fn now(&self) -> Option<Ms> {
        self.clock.map(|clock| clock.now_ms())
    }

    /// Entries of the log that are not settled.
    async fn entries(&mut self, done: &(dyn Fn(&Found) + Sync)) -> Result<()> {
        let mut cursor = None::<String>;
        loop {
            let page = self.store.erasure.unsettled(cursor.as_deref(), PAGE).await?;
            let covered = page.items.iter().filter(|entry| self.covers_entry(entry));
            let covered: Vec<EntryId> = covered.map(|entry| entry.id).collect();
            self.found.entries += covered.len() as u64;
            if let Some(now) = self.now().filter(|_| !covered.is_empty()) {
                self.store.erasure.erase_entries(&self.erasing.tenant, &covered, now).await?;
            }
            done(&self.found);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Events in the ledger: through the index where all events of a time have their keys, and by
    /// looking at each of those that came before.
    async fn events(&mut self, done: &(dyn Fn(&Found) + Sync)) -> Result<()> {
        let keys = self.keys().await?;
        let mut after = 0;
        loop {
            let tail = self.store.ledger.tail(&self.erasing.tenant, after, PAGE).await?;
            let records: Vec<EventRecord> =
                tail.items.into_iter().map(|(_, record)| record).collect();
            self.take(&records, done).await?;
            after = tail.next;
            let is_indexed = keys.as_ref().is_some_and(|(_, since)| after >= *since);
            if !tail.more || is_indexed {
                break;
            }
        }
        match keys {
            Some((keys, _)) => self.indexed(keys, done).await,
            None => Ok(()),
        }
    }

    /// What to look for in the index, and the place from which on it has all events. `None` if it
    /// does not help.
    async fn keys(&self) -> Result<Option<(Vec<SearchKey>, u64)>> {
        let Extent::Subject(subject) = &self.erasing.extent else { return Ok(None) };
        let Some(since) = self.store.ledger.indexed_since(subject.paths()).await? else {
            return Ok(None);
        };
        let mut keys = subject.keys();
        // An event with very many values is not found by each of them.
        keys.push(SearchKey::overflow());
        for key in &keys {
            match self.store.ledger.events(&self.found_by(key.clone(), 1)).await {
                Ok(_) => {}
                // This process has other paths in its settings.
                Err(StoreError::NotIndexed(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some((keys, since)))
    }

    fn found_by(&self, key: SearchKey, limit: usize) -> EventQuery {
        let (tenant, matches) = (self.erasing.tenant.clone(), vec![key]);
        EventQuery { tenant, matches, oldest_first: true, limit, ..EventQuery::default() }
    }

    async fn indexed(
        &mut self,
        keys: Vec<SearchKey>,
        done: &(dyn Fn(&Found) + Sync),
    ) -> Result<()> {
        for key in keys {
            let mut query = self.found_by(key, PAGE);
            loop {
                let page = self.store.ledger.events(&query).await?;
                let mut records = Vec::with_capacity(page.items.len());
                for one in &page.items {
                    records.extend(self.store.ledger.event(&query.tenant, &one.id).await?);
                }
                self.take(&records, done).await?;
                query.cursor = page.next;
                if query.cursor.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Counts those of the events that are covered, each once, and removes them.
    async fn take(
        &mut self,
        records: &[EventRecord],
        done: &(dyn Fn(&Found) + Sync),
    ) -> Result<()> {
        let is_subject = matches!(self.erasing.extent, Extent::Subject(_));
        let mut covered: Vec<&EventRecord> =
            records.iter().filter(|record| self.covers(record.event.json())).collect();
        if is_subject {
            covered.retain(|record| self.seen.insert(record.event.id.clone()));
        }
        let deliveries = || covered.iter().flat_map(|record| &record.deliveries);
        let waits = |one: &&DeliveryRecord| one.state.is_waiting();
        let waiting = deliveries().filter(waits).count() as u64;
        let erased = match self.now() {
            _ if covered.is_empty() => Erased::default(),
            Some(now) => self.remove(&covered, now).await?,
            None => {
                Erased { events: covered.len() as u64, deliveries: deliveries().count() as u64 }
            }
        };
        self.found.events += erased.events;
        self.found.deliveries += erased.deliveries;
        self.found.waiting += waiting;
        done(&self.found);
        Ok(())
    }

    async fn remove(&self, covered: &[&EventRecord], now: Ms) -> Result<Erased> {
        let tenant = &self.erasing.tenant;
        let memos: Vec<String> =
            covered.iter().flat_map(|record| self.memos(&record.event)).collect();
        self.store.erasure.erase_memos(&memos).await?;
        let ids: Vec<String> = covered.iter().flat_map(|record| ids(tenant, record)).collect();
        self.store.erasure.erase_events(tenant, &ids, now).await
    }

    /// Rejected entries.
    async fn rejected(&mut self, done: &(dyn Fn(&Found) + Sync)) -> Result<()> {
        let mut cursor = None::<String>;
        loop {
            let page = self.store.ledger.rejected(cursor.as_deref(), PAGE).await?;
            let covered = page.items.into_iter().filter(|one| self.covers_rejected(one));
            let covered: Vec<String> = covered.map(|one| one.entry).collect();
            self.found.rejected += covered.len() as u64;
            if self.clock.is_some() && !covered.is_empty() {
                self.store.erasure.erase_rejected(&covered).await?;
            }
            done(&self.found);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether an event is covered.
    fn covers(&self, envelope: &Json) -> bool {
        match &self.erasing.extent {
            Extent::Everything => true,
            Extent::Subject(subject) => subject.is_in(envelope),
        }
    }

    fn covers_entry(&self, entry: &Entry) -> bool {
        let of = |name: &[u8]| name == self.erasing.tenant.as_bytes();
        match &entry.payload {
            Payload::Event(event) => of(event.tenant.as_bytes()) && self.covers(event.json()),
            Payload::Raw(fields) => {
                let field = |name: &str| fields.iter().find(|(found, _)| found == name);
                field("tenant").is_some_and(|(_, name)| of(name))
                    && self.covers_text(&String::from_utf8_lossy(
                        field("event").map_or(&[], |(_, body)| body),
                    ))
            }
        }
    }

    fn covers_rejected(&self, one: &Rejected) -> bool {
        match &one.tenant {
            Some(tenant) if *tenant != self.erasing.tenant => false,
            // The entry names no readable tenant.
            None if !self.erasing.unclaimed => false,
            claimed => match &self.erasing.extent {
                Extent::Everything => claimed.is_some(),
                // A parser would only see one of two fields with the same name.
                Extent::Subject(subject) if one.code == "duplicate_key" => {
                    subject.is_in_text(&one.raw)
                }
                Extent::Subject(_) => self.covers_text(&one.raw),
            },
        }
    }

    /// Whether a text is covered, which may be an event or not even JSON.
    fn covers_text(&self, text: &str) -> bool {
        match &self.erasing.extent {
            Extent::Everything => true,
            Extent::Subject(subject) => match Json::parse(text.as_bytes()) {
                Some(envelope @ Json::Object(_)) => subject.is_in(&envelope),
                _ => subject.is_in_text(text),
            },
        }
    }

    /// The keys of what channels may remember of an event: `channel/tenant/destination/value`, with
    /// the value at the path in the destination's setting `group_by`.
    fn memos(&self, event: &Event) -> Vec<String> {
        let destinations = self.spec.iter().flat_map(|spec| &spec.destinations);
        let key = |one: &tenant::DestinationSpec| {
            let value = event.json().at(one.fields.get("group_by")?.as_str()?)?;
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some(format!("{}/{}/{}/{value}", one.channel, self.erasing.tenant, one.id))
        };
        destinations.filter_map(key).collect()
    }
}

/// The ids of an event and of Fanfare's own events about its deliveries, which contain receivers'
/// answers.
fn ids(tenant: &str, record: &EventRecord) -> Vec<String> {
    let notice = |one: &DeliveryRecord| own_event_id("dead", &[tenant, one.id.as_str()]);
    let mut ids: Vec<String> = record.deliveries.iter().map(notice).collect();
    ids.push(record.event.id.to_string());
    ids
}
