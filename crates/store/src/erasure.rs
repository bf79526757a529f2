//! Taking out of a store what belongs to a tenant, or tells of somebody, whatever its state.

use async_trait::async_trait;

use super::{Entry, EntryId, Ms, Page, Result};

/// How much was taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Events.
    pub events: u64,
    /// Their deliveries, those that wait included.
    pub deliveries: u64,
}

/// Removes for good. Every call may be repeated: what is gone already is not counted again.
///
/// What an event leaves while it is on its way, the outcome of an attempt that is under way above all,
/// does not bring it back: the store passes it over, for a day at least.
#[async_trait]
pub trait Erasure: Send + Sync {
    /// Removes events of a tenant with all that belongs to them: bodies, deliveries, attempts, places
    /// in queues, and the lines of lanes that have nothing else waiting. `now` is when.
    async fn erase_events(&self, tenant: &str, ids: &[String], now: Ms) -> Result<Erased>;
    /// Entries of the log that are not settled, of all tenants, oldest first; the ledger may not know
    /// of them yet. Empty where it knows of every entry from the start.
    async fn unsettled(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Entry>>;
    /// Removes entries of a tenant from the log, read or not. Events that they became already are
    /// removed by [`Erasure::erase_events`].
    async fn erase_entries(&self, tenant: &str, entries: &[EntryId], now: Ms) -> Result<u64>;
    /// Removes entries that could not be taken as events, by their [`Rejected::entry`].
    ///
    /// [`Rejected::entry`]: super::Rejected::entry
    async fn erase_rejected(&self, entries: &[String]) -> Result<u64>;
    /// Removes memos by their keys.
    async fn erase_memos(&self, keys: &[String]) -> Result<u64>;
    /// Removes what is left of a tenant that has no events any more: its lanes, how they fared, and
    /// memos under `channel/tenant/`. Does nothing while it has events.
    async fn forget_tenant(&self, tenant: &str) -> Result<()>;
    /// Removes what erased things have left in the store's files, as far as the store has them in its
    /// hands. False when something stands in the way for now: to be repeated.
    async fn scrub(&self) -> Result<bool>;
    /// Other files beside the store's own that may contain what was erased: what a restore has set
    /// aside, or what a killed command left behind.
    async fn elsewhere(&self) -> Vec<String> {
        Vec::new()
    }
}
