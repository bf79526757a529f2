//! Selects deliveries, oldest first. They are read page by page, so that a bounded number is in
//! memory.

use std::collections::{BTreeMap, VecDeque};

use fanfare_contract::{Environment, LaneId};
use fanfare_store::{
    DeliveryQuery, DeliveryRecord, Ms, Reason, Result, StateKind, Store, TypeFilter,
};

/// Deliveries read at once.
const PAGE: usize = 500;
/// Remaining deliveries are counted up to this number.
const MAX_COUNTED: u64 = 10_000;

/// Which deliveries to select.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The tenant.
    pub tenant: String,
    /// A single delivery by id. All other fields except the tenant are then ignored.
    pub id: Option<String>,
    /// The environment of the events. `None` for both.
    pub environment: Option<Environment>,
    /// The states.
    pub states: Vec<StateKind>,
    /// The id of a lane, or of a destination for all of its lanes.
    pub lane: Option<LaneId>,
    /// The exact event type.
    pub kind: Option<String>,
    /// The code of the last failure, or the reason for the state.
    pub error: Option<String>,
    /// Only events received at or after this time.
    pub from_ms: Option<Ms>,
    /// Only events received before this time.
    pub to_ms: Option<Ms>,
    /// Only deliveries that were suppressed because their destination was disabled.
    pub only_disabled: bool,
    /// Only deliveries last changed before this time. Deliveries that an earlier part of the same
    /// work has replayed are then not selected again.
    pub changed_before_ms: Option<Ms>,
    /// Most deliveries to change. `None` for all.
    pub most: Option<u64>,
}

/// Deliveries by destination, state and reason.
pub type Kinds = BTreeMap<(String, StateKind, Option<Reason>), u64>;

/// The number of selected deliveries, for a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The total.
    pub total: u64,
    /// By destination, state and reason.
    pub by: Kinds,
}

/// What deliveries are counted by.
pub(super) fn kind(delivery: &DeliveryRecord) -> (String, StateKind, Option<Reason>) {
    let destination = delivery.lane.destination().to_owned();
    (destination, delivery.state.kind(), delivery.state.reason().cloned())
}

/// Counts the selected deliveries.
pub async fn count(store: &Store, selection: &Selection) -> Result<Counted> {
    let mut selected = Selected::new(store, selection);
    let mut counted = Counted::default();
    while let Some(delivery) = selected.next().await? {
        *counted.by.entry(kind(&delivery)).or_insert(0) += 1;
        counted.total += 1;
    }
    Ok(counted)
}

/// Iterates over the selected deliveries, oldest first.
pub(super) struct Selected<'a> {
    store: &'a Store,
    selection: &'a Selection,
    /// One list per state, each in order. The oldest of their first deliveries is next.
    lists: Vec<List>,
    /// The delivery that was selected by id, until it has been looked up.
    id: Option<&'a str>,
}

/// The deliveries of one state.
struct List {
    query: DeliveryQuery,
    front: VecDeque<DeliveryRecord>,
    is_at_end: bool,
}

impl<'a> Selected<'a> {
    pub(super) fn new(store: &'a Store, selection: &'a Selection) -> Self {
        let id = selection.id.as_deref();
        let list = |state: &StateKind| List {
            query: DeliveryQuery {
                tenant: selection.tenant.clone(),
                state: Some(*state),
                lane: selection.lane.clone(),
                environment: selection.environment,
                kind: selection.kind.clone().map(TypeFilter::exactly),
                from_ms: selection.from_ms,
                to_ms: selection.to_ms,
                oldest_first: true,
                cursor: None,
                limit: PAGE,
            },
            front: VecDeque::new(),
            is_at_end: false,
        };
        let lists = selection.states.iter().filter(|_| id.is_none()).map(list).collect();
        Self { store, selection, lists, id }
    }

    pub(super) async fn next(&mut self) -> Result<Option<DeliveryRecord>> {
        if let Some(id) = self.id.take() {
            return self.by_id(id).await;
        }
        for list in &mut self.lists {
            list.fill(self.store, self.selection).await?;
        }
        let with_front = self.lists.iter_mut().filter(|list| !list.front.is_empty());
        let earliest = with_front.min_by_key(|list| list.front[0].received_ms);
        Ok(earliest.and_then(|list| list.front.pop_front()))
    }

    /// Counts the remaining deliveries, up to a limit.
    pub(super) async fn count_rest(
        &mut self,
        wanted: &(dyn Fn(&DeliveryRecord) -> bool + Sync),
    ) -> Result<u64> {
        let mut count = 0;
        while count < MAX_COUNTED
            && let Some(delivery) = self.next().await?
        {
            count += u64::from(wanted(&delivery));
        }
        Ok(count)
    }

    async fn by_id(&self, id: &str) -> Result<Option<DeliveryRecord>> {
        let id = fanfare_contract::DeliveryId::from(id);
        let Some((event, lane)) = id.parts() else { return Ok(None) };
        let record = self.store.ledger.event(&self.selection.tenant, event).await?;
        let mut found = record.into_iter().flat_map(|record| record.deliveries);
        Ok(found.find(|delivery| delivery.lane == lane))
    }
}

impl List {
    /// Reads pages until there is a first delivery, or the list has ended.
    async fn fill(&mut self, store: &Store, selection: &Selection) -> Result<()> {
        while self.front.is_empty() && !self.is_at_end {
            let page = store.ledger.deliveries(&self.query).await?;
            self.front.extend(page.items.into_iter().filter(|d| selection.takes(d)));
            self.is_at_end = page.next.is_none();
            self.query.cursor = page.next;
        }
        Ok(())
    }
}

impl Selection {
    /// Whether the query's result is really selected. The query does not cover all criteria.
    fn takes(&self, delivery: &DeliveryRecord) -> bool {
        let reason = delivery.state.reason();
        if self.only_disabled && !reason.is_some_and(Reason::is_disabled) {
            return false;
        }
        if self.changed_before_ms.is_some_and(|before| delivery.updated_ms >= before) {
            return false;
        }
        self.error.as_ref().is_none_or(|error| failed_with(delivery, error))
    }
}

/// Whether `error` is the code of the delivery's last failure, or the reason for its state.
pub fn failed_with(delivery: &DeliveryRecord, error: &str) -> bool {
    let last = delivery.attempts.last().map(|attempt| attempt.code.as_str());
    last == Some(error) || delivery.state.reason().is_some_and(|reason| reason.as_text() == error)
}
