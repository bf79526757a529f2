//! Erasing all of a tenant, or all events about one subject, for good.
//!
//! It goes through everything page by page and removes as it goes, so a bounded number of events is held
//! however many there are, others have their turn between any two steps, and whoever was interrupted
//! just begins again: what is gone is not found. The order matters: entries of the log first, then the
//! ledger, so that what moves from one to the other meanwhile is met.

use std::time::Duration;

use fanfare_contract::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Subject;
use crate::access::{Principal, keys};
use crate::agenda::Clock;
use crate::audit;
use crate::event::own_event_id;
use crate::tenant::{self, TenantSpec};
use fanfare_store::{
    DeliveryRecord, Entry, EntryId, Erased, EventRecord, Ms, Payload, Rejected, Result, Store,
    StoreError,
};

/// Events, entries or dead letters read at once.
const PAGE: usize = 50;
/// Documents read at once.
const RECORDS: usize = 500;
/// How often all of a tenant is gone through at most, while something still comes.
const ROUNDS: usize = 20;
/// Between two of them: by then every server knows that there is no such tenant.
const REST: Duration = Duration::from_millis(1_200);
/// How often the files are scrubbed when something stands in the way.
const SCRUBS: usize = 3;

/// What is erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The tenant: its document, keys, events, and what else it has; of its audit trail, who did what
    /// when is left, and nothing else.
    Everything,
    /// Events about a subject, and nothing else.
    Subject(Subject),
}

/// An erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasing {
    /// Of which tenant.
    pub tenant: String,
    /// What of it.
    pub extent: Extent,
    /// Dead letters that name no tenant legibly count too, when they hold the subject: an operator's
    /// to say.
    pub unclaimed: bool,
}

/// How much there is, or was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Found {
    /// Events, those that wait and those that were not routed yet included.
    pub events: u64,
    /// Their deliveries, with all attempts.
    pub deliveries: u64,
    /// Deliveries among them that waited.
    pub waiting: u64,
    /// Entries of the stream that nobody had settled; what was an event already counts there too.
    pub entries: u64,
    /// Entries that could not be taken as events.
    pub rejected: u64,
    /// Keys of the tenant.
    pub keys: u64,
}

/// What an erasure came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureReport {
    /// The line of the audit trail that tells of it.
    pub id: String,
    /// What was removed.
    pub found: Found,
    /// The store's files hold nothing of it any more, as far as that is the store's to say. Else a
    /// reader was in the way: erase again.
    pub scrubbed: bool,
}

/// What would be erased: a dry run.
pub async fn find(store: &Store, erasing: &Erasing) -> Result<Found> {
    let mut round = Round::new(store, erasing, None).await?;
    round.all(&|_| ()).await?;
    if erasing.extent == Extent::Everything {
        let keys = keys::list(&*store.records, Some(&erasing.tenant)).await?;
        round.found.keys = keys.len() as u64;
    }
    Ok(round.found)
}

/// Erases, and leaves a line in the tenant's audit trail: who, when, what was asked, how much it was.
/// `done` is told how far it has come. Safe to repeat.
pub async fn erase(
    store: &Store,
    erasing: &Erasing,
    by: &Principal,
    clock: Clock,
    done: &(dyn Fn(&Found) + Sync),
) -> Result<ErasureReport> {
    let Erasing { tenant, extent, unclaimed } = erasing;
    let (resource, asked) = match extent {
        Extent::Everything => ("tenant", json!({"everything": true})),
        Extent::Subject(subject) => ("events", json!({"subject": subject.sealed()})),
    };
    let mut line = audit::line(by, clock.now_ms(), "erase", resource, asked, Value::Null);
    let id = line.id.clone();
    audit::begin(store, tenant, &mut line).await?;
    tracing::info!(tenant, resource, unclaimed, "erasure begins; the audit trail has it as {id}");
    let erased = run(store, erasing, &id, clock, done).await;
    if let Ok((found, scrubbed)) = &erased {
        line.after = json!({"erased": found, "scrubbed": scrubbed});
    }
    audit::end(store, tenant, line, erased.is_ok()).await;
    let (found, scrubbed) = erased?;
    Ok(ErasureReport { id, found, scrubbed })
}

async fn run(
    store: &Store,
    erasing: &Erasing,
    line: &str,
    clock: Clock,
    done: &(dyn Fn(&Found) + Sync),
) -> Result<(Found, bool)> {
    let found = match erasing.extent {
        Extent::Everything => {
            let found = everything(store, erasing, clock, done).await?;
            audit::redact(store, &erasing.tenant, line, clock.now_ms()).await?;
            found
        }
        Extent::Subject(_) => {
            let mut round = Round::new(store, erasing, Some(clock)).await?;
            round.all(done).await?;
            round.found
        }
    };
    for _ in 0..SCRUBS {
        if store.erasure.scrub().await? {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

/// First nothing new may come; then what is there goes, until nothing is found.
async fn everything(
    store: &Store,
    erasing: &Erasing,
    clock: Clock,
    done: &(dyn Fn(&Found) + Sync),
) -> Result<Found> {
    let tenant = &erasing.tenant;
    // Before its document goes: it says where memos are.
    let mut round = Round::new(store, erasing, Some(clock)).await?;
    if let Some(spec) = &round.spec {
        audit::flush(store, spec).await?;
    }
    round.found.keys = keys::revoke_all_of(&*store.records, tenant).await? as u64;
    let was_there = store.directory.remove(tenant).await?;
    for turn in 0..ROUNDS {
        let before = round.found;
        round.all(done).await?;
        let idle = round.found == before;
        if idle && (turn > 0 || !was_there) {
            break;
        }
        tokio::time::sleep(REST).await;
    }
    remove_places(store, tenant).await?;
    store.erasure.forget_tenant(tenant).await?;
    Ok(round.found)
}

/// How far consumers have come in the tenant's mailboxes.
async fn remove_places(store: &Store, tenant: &str) -> Result<()> {
    const MAILBOXES: &str = "mailboxes";
    let prefix = format!("{tenant}/");
    loop {
        let page = store.records.list(MAILBOXES, Some(&prefix), RECORDS).await?;
        let own: Vec<_> = page.iter().take_while(|one| one.id.starts_with(&prefix)).collect();
        for one in &own {
            store.records.remove(MAILBOXES, &one.id, None).await?;
        }
        if own.len() < RECORDS {
            return Ok(());
        }
    }
}

/// Once through all that may hold something.
struct Round<'a> {
    store: &'a Store,
    erasing: &'a Erasing,
    /// None only counts.
    clock: Option<Clock>,
    spec: Option<TenantSpec>,
    found: Found,
}

impl<'a> Round<'a> {
    async fn new(store: &'a Store, erasing: &'a Erasing, clock: Option<Clock>) -> Result<Self> {
        let spec = match tenant::stored(store, &erasing.tenant).await {
            Ok(stored) => stored.map(|(spec, _)| spec),
            // A document that nobody can read keeps nobody from erasing it.
            Err(StoreError::Corrupt(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { store, erasing, clock, spec, found: Found::default() })
    }

    async fn all(&mut self, done: &(dyn Fn(&Found) + Sync)) -> Result<()> {
        self.entries(done).await?;
        self.events(done).await?;
        self.rejected(done).await
    }

    fn now(&self) -> Option<Ms> {
        self.clock.map(|clock| clock.now_ms())
    }

    /// What stands in the log and is not settled.
    async fn entries(&mut self, done: &(dyn Fn(&Found) + Sync)) -> Result<()> {
        let mut cursor = None::<String>;
        loop {
            let page = self.store.erasure.unsettled(cursor.as_deref(), PAGE).await?;
            let meant = page.items.iter().filter(|entry| self.means_entry(entry));
            let meant: Vec<EntryId> = meant.map(|entry| entry.id).collect();
            self.found.entries += meant.len() as u64;
            if let Some(now) = self.now().filter(|_| !meant.is_empty()) {
                self.store.erasure.erase_entries(&self.erasing.tenant, &meant, now).await?;
            }
            done(&self.found);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// What the ledger has.
    async fn events(&mut self, done: &(dyn Fn(&Found) + Sync)) -> Result<()> {
        let tenant = &self.erasing.tenant;
        let mut after = 0;
        loop {
            let tail = self.store.ledger.tail(tenant, after, PAGE).await?;
            let meant = tail.items.iter().map(|(_, record)| record);
            let meant: Vec<&EventRecord> =
                meant.filter(|record| self.means(record.event.value())).collect();
            let deliveries = || meant.iter().flat_map(|record| &record.deliveries);
            let waits = |one: &&DeliveryRecord| one.state.is_waiting();
            let waiting = deliveries().filter(waits).count() as u64;
            let erased = match self.now() {
                _ if meant.is_empty() => Erased::default(),
                Some(now) => self.remove(&meant, now).await?,
                None => {
                    Erased { events: meant.len() as u64, deliveries: deliveries().count() as u64 }
                }
            };
            self.found.events += erased.events;
            self.found.deliveries += erased.deliveries;
            self.found.waiting += waiting;
            done(&self.found);
            after = tail.next;
            if !tail.more {
                return Ok(());
            }
        }
    }

    async fn remove(&self, meant: &[&EventRecord], now: Ms) -> Result<Erased> {
        let tenant = &self.erasing.tenant;
        let memos: Vec<String> =
            meant.iter().flat_map(|record| self.memos(&record.event)).collect();
        self.store.erasure.erase_memos(&memos).await?;
        let ids: Vec<String> = meant.iter().flat_map(|record| ids(tenant, record)).collect();
        self.store.erasure.erase_events(tenant, &ids, now).await
    }

    /// Dead letters of the log.
    async fn rejected(&mut self, done: &(dyn Fn(&Found) + Sync)) -> Result<()> {
        let mut cursor = None::<String>;
        loop {
            let page = self.store.ledger.rejected(cursor.as_deref(), PAGE).await?;
            let meant = page.items.into_iter().filter(|one| self.means_rejected(one));
            let meant: Vec<String> = meant.map(|one| one.entry).collect();
            self.found.rejected += meant.len() as u64;
            if self.clock.is_some() && !meant.is_empty() {
                self.store.erasure.erase_rejected(&meant).await?;
            }
            done(&self.found);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    fn means(&self, envelope: &Value) -> bool {
        match &self.erasing.extent {
            Extent::Everything => true,
            Extent::Subject(subject) => subject.is_in(envelope),
        }
    }

    fn means_entry(&self, entry: &Entry) -> bool {
        let of = |name: &[u8]| name == self.erasing.tenant.as_bytes();
        match &entry.payload {
            Payload::Event(event) => of(event.tenant.as_bytes()) && self.means(event.value()),
            Payload::Raw(fields) => {
                let field = |name: &str| fields.iter().find(|(found, _)| found == name);
                field("tenant").is_some_and(|(_, name)| of(name))
                    && self.means_text(&String::from_utf8_lossy(
                        field("event").map_or(&[], |(_, body)| body),
                    ))
            }
        }
    }

    fn means_rejected(&self, one: &Rejected) -> bool {
        match &one.tenant {
            Some(tenant) if *tenant != self.erasing.tenant => false,
            // Whose it is, nobody knows.
            None if !self.erasing.unclaimed => false,
            claimed => match &self.erasing.extent {
                Extent::Everything => claimed.is_some(),
                // Of two fields of one name, a parser shows one.
                Extent::Subject(subject) if one.code == "duplicate_key" => {
                    subject.is_in_text(&one.raw)
                }
                Extent::Subject(_) => self.means_text(&one.raw),
            },
        }
    }

    /// What may be an event, or not even JSON.
    fn means_text(&self, text: &str) -> bool {
        match &self.erasing.extent {
            Extent::Everything => true,
            Extent::Subject(subject) => match serde_json::from_str::<Value>(text) {
                Ok(envelope @ Value::Object(_)) => subject.is_in(&envelope),
                _ => subject.is_in_text(text),
            },
        }
    }

    /// What channels may remember of an event: `channel/tenant/destination/value`, by the value of a
    /// path that the destination's settings name as `group_by`.
    fn memos(&self, event: &Event) -> Vec<String> {
        let destinations = self.spec.iter().flat_map(|spec| &spec.destinations);
        let key = |one: &tenant::DestinationSpec| {
            let value = event.at(one.fields.get("group_by")?.as_str()?)?;
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some(format!("{}/{}/{}/{value}", one.channel, self.erasing.tenant, one.id))
        };
        destinations.filter_map(key).collect()
    }
}

/// An event, and the router's own events that tell of its deliveries: what receivers answered is in
/// them too.
fn ids(tenant: &str, record: &EventRecord) -> Vec<String> {
    let notice = |one: &DeliveryRecord| own_event_id("dead", &[tenant, one.id.as_str()]);
    let mut ids: Vec<String> = record.deliveries.iter().map(notice).collect();
    ids.push(record.event.id.to_string());
    ids
}
