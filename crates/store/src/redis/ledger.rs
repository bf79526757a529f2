//! The ledger. Lists read an index, newest first, and each call reads a bounded part of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_contract::Tally;
use redis::Value;

use super::connection::Batch;
use super::cursor::{List, Position};
use super::keys::Tag;
use super::summary::{state_of, summary};
use super::{Core, pack, reply, script, search};
use crate::{
    Counts, DeliveryQuery, DeliveryRecord, EventQuery, EventRecord, EventStatus, EventSummary,
    LONGEST_TAIL, LaneKey, Ledger, Ms, Page, Rejected, Result, StateKind, StoreError, TAIL_BYTES,
    Tail, Usage,
};

/// Most lines of an index in one script.
const LOOK_AT_ONCE: usize = 500;
/// Most lines of an index in one call, however few match the filters.
const LOOK_A_CALL: usize = 5_000;
/// Most tenants in one round trip.
const USAGES_AT_ONCE: usize = 500;
/// Most items of a page.
const LONGEST_PAGE: usize = 1_000;

/// See the trait.
pub(super) struct RedisLedger {
    core: Arc<Core>,
}

/// The index that a list reads.
struct Index {
    tag: Tag,
    keys: [String; 3],
    from_ms: Option<Ms>,
    to_ms: Option<Ms>,
    oldest_first: bool,
}

/// A line of an index.
struct Line {
    position: Position,
    id: String,
    /// First line of the packed event. None if the event is gone.
    head: Option<Vec<u8>>,
    /// None while the event is not settled.
    outcome: Option<String>,
}

impl RedisLedger {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Lines after `position`, or from it on if part of it was returned. True at the end.
    async fn look(
        &self,
        index: &Index,
        position: Option<&Position>,
        count: usize,
    ) -> Result<(Vec<Line>, bool)> {
        let mut cmd = script::call(&script::LOOK, &index.keys.each_ref().map(String::as_str));
        for bound in [index.from_ms, index.to_ms] {
            cmd.arg(bound.map(|ms| ms.to_string()).unwrap_or_default());
        }
        match position {
            Some(position) => {
                cmd.arg(position.score).arg(&position.member);
                cmd.arg(u8::from(position.given > 0));
            }
            None => {
                cmd.arg(0).arg("").arg(0);
            }
        }
        cmd.arg(count).arg(u8::from(index.oldest_first));
        let mut parts = reply::array(self.core.link.ask(index.tag, cmd).await?)?.into_iter();
        let last = matches!(parts.next(), Some(Value::Int(1)));
        let mut lines = Vec::new();
        while let (Some(member), Some(score), Some(head), Some(outcome)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        {
            let member = reply::text(member)?;
            let id = member.split_once(':').map_or("", |(_, id)| id).to_owned();
            let outcome = match outcome {
                Value::Nil => None,
                packed => Some(reply::text(packed)?),
            };
            let position = Position { score: reply::int(&score)?, member, given: 0 };
            lines.push(Line { position, id, head: reply::bytes(head)?, outcome });
        }
        Ok((lines, last))
    }

    /// Reads an index until the page is full. `take` gets a line and the number of its deliveries
    /// that earlier pages returned. It adds items, and returns how many were returned if the page
    /// is full.
    async fn page<T>(
        &self,
        index: &Index,
        list: List,
        cursor: Option<&str>,
        limit: usize,
        mut take: impl FnMut(&Line, usize, &mut Vec<T>) -> Result<Option<usize>> + Send,
    ) -> Result<Page<T>>
    where
        T: Send,
    {
        let mut position = cursor.map(|cursor| Position::read(list, cursor)).transpose()?;
        let mut items = Vec::new();
        let mut looked = 0;
        loop {
            let count = LOOK_AT_ONCE.min(limit.max(50) * 2);
            let (lines, is_end) = self.look(index, position.as_ref(), count).await?;
            looked += lines.len();
            let length = lines.len();
            for (at, line) in lines.into_iter().enumerate() {
                let resumed =
                    position.as_ref().filter(|before| before.member == line.position.member);
                let before = resumed.map_or(0, |before| before.given);
                let given = take(&line, before, &mut items)?;
                position = Some(Position { given: given.unwrap_or(0), ..line.position });
                let end = is_end && at + 1 == length && given.is_none();
                if !end && (given.is_some() || items.len() >= limit) {
                    return Ok(Page { items, next: position.map(|after| after.write(list)) });
                }
            }
            if is_end {
                return Ok(Page { items, next: None });
            }
            if looked >= LOOK_A_CALL {
                return Ok(Page { items, next: position.map(|after| after.write(list)) });
            }
        }
    }

    fn tenant_index(&self, tenant: &str, letter: Option<&str>) -> (Tag, [String; 3]) {
        let keys = self.core.keys.tenant(tenant);
        let index = letter.map_or_else(|| keys.log(), |letter| keys.index(letter));
        (keys.tag(), [index, keys.events(), keys.outcomes()])
    }
}

#[async_trait]
impl Ledger for RedisLedger {
    async fn event(&self, tenant: &str, id: &str) -> Result<Option<EventRecord>> {
        let keys = self.core.keys.tenant(tenant);
        let mut cmd = script::call(&script::EVENT, &[&keys.events(), &keys.outcomes()]);
        cmd.arg(id);
        let answer = self.core.link.ask(keys.tag(), cmd).await?;
        let mut answers = reply::array(answer)?.into_iter();
        let Some(packed) = reply::bytes(answers.next().unwrap_or(Value::Nil))? else {
            return Ok(None);
        };
        let event = pack::unpack_event(tenant.into(), id, packed)?;
        let outcome = reply::bytes(answers.next().unwrap_or(Value::Nil))?;
        let outcome = outcome.map(String::from_utf8).transpose();
        let outcome =
            outcome.map_err(|_| StoreError::Corrupt("an outcome is not valid UTF-8".into()))?;
        let state = state_of(outcome.as_deref());
        let deliveries = match &outcome {
            Some(packed) => pack::unpack_outcome(id, &event.kind, event.environment, packed)?,
            None => Vec::new(),
        };
        Ok(Some(EventRecord { event: Arc::new(event), state, deliveries }))
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventSummary>> {
        if !query.matches.is_empty() {
            return search::events(&self.core, query).await;
        }
        let letter = match query.status {
            Some(EventStatus::Delivery(kind)) if kind != StateKind::Delivered => {
                Some(pack::letter(kind))
            }
            _ => None,
        };
        let (tag, keys) = self.tenant_index(&query.tenant, letter);
        let (from_ms, to_ms, oldest_first) = (query.from_ms, query.to_ms, query.oldest_first);
        let index = Index { tag, keys, from_ms, to_ms, oldest_first };
        let limit = query.limit.clamp(1, LONGEST_PAGE);
        let cursor = query.cursor.as_deref();
        self.page(&index, List::Events, cursor, limit, |line, _, items| {
            if let Some(head) = &line.head {
                items.extend(summary(query, &line.id, head, line.outcome.as_deref())?);
            }
            Ok(None)
        })
        .await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        // Nearly all deliveries are delivered, so there is no index for that state.
        let indexed = query.state.filter(|state| *state != StateKind::Delivered);
        let letter = indexed.map(pack::letter);
        let (tag, keys) = self.tenant_index(&query.tenant, letter);
        let (from_ms, to_ms, oldest_first) = (query.from_ms, query.to_ms, query.oldest_first);
        let index = Index { tag, keys, from_ms, to_ms, oldest_first };
        let limit = query.limit.clamp(1, LONGEST_PAGE);
        let cursor = query.cursor.as_deref();
        self.page(&index, List::Deliveries, cursor, limit, |line, given, items| {
            let (Some(head), Some(outcome)) = (&line.head, &line.outcome) else { return Ok(None) };
            let head = pack::read_head(head)?;
            let other = query.environment.is_some_and(|wanted| wanted != head.environment);
            if other || query.kind.as_ref().is_some_and(|kind| !kind.selects(&head.kind)) {
                return Ok(None);
            }
            let records = pack::unpack_outcome(&line.id, &head.kind, head.environment, outcome)?;
            let count = records.len();
            for (at, record) in records.into_iter().enumerate().skip(given) {
                if wanted(query, &record) {
                    items.push(record);
                }
                if items.len() >= limit && at + 1 < count {
                    return Ok(Some(at + 1));
                }
            }
            Ok(None)
        })
        .await
    }

    async fn tail(&self, tenant: &str, after: u64, limit: usize) -> Result<Tail> {
        let keys = self.core.keys.tenant(tenant);
        let limit = limit.clamp(1, LONGEST_TAIL);
        let names = [keys.seen(), keys.events(), keys.outcomes()];
        let mut cmd = script::call(&script::TAIL, &names.each_ref().map(String::as_str));
        cmd.arg(after).arg(limit).arg(TAIL_BYTES);
        let mut parts = reply::array(self.core.link.ask(keys.tag(), cmd).await?)?.into_iter();
        let mut tail = Tail { next: after, ..Tail::default() };
        tail.more = matches!(parts.next(), Some(Value::Int(1)));
        while let (Some(place), Some(id), Some(packed), Some(outcome)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        {
            tail.next = reply::count(&place)?;
            let Some(packed) = reply::bytes(packed)? else { continue };
            let id = reply::text(id)?;
            let event = pack::unpack_event(tenant.into(), &id, packed)?;
            let outcome = match outcome {
                Value::Nil => None,
                packed => Some(reply::text(packed)?),
            };
            let state = state_of(outcome.as_deref());
            let deliveries = match &outcome {
                Some(packed) => pack::unpack_outcome(&id, &event.kind, event.environment, packed)?,
                None => Vec::new(),
            };
            let record = EventRecord { event: Arc::new(event), state, deliveries };
            tail.items.push((tail.next, record));
        }
        Ok(tail)
    }

    async fn rejected(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Rejected>> {
        let keys = &self.core.keys;
        let data = keys.rejected_data();
        let nothing = format!("{data}:none");
        let index = Index {
            tag: Tag::Rejected,
            keys: [keys.rejected_index(), data, nothing],
            from_ms: None,
            to_ms: None,
            oldest_first: false,
        };
        let limit = limit.clamp(1, LONGEST_PAGE);
        self.page(&index, List::Rejected, cursor, limit, |line, _, items| {
            if let Some(kept) = &line.head {
                items.push(serde_json::from_slice(kept).map_err(|_| {
                    StoreError::Corrupt("a rejected entry is not as Fanfare wrote it".to_owned())
                })?);
            }
            Ok(None)
        })
        .await
    }

    async fn tally(&self, lane: &LaneKey, from: Ms, to: Ms) -> Result<(Vec<Tally>, Vec<Tally>)> {
        let keys = self.core.keys.tenant(&lane.tenant);
        let ended = keys.ended(&lane.id);
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        let mut offset = 0;
        loop {
            let mut cmd = script::call(&script::TALLY, &[&ended]);
            cmd.arg(from).arg(to).arg(offset).arg(LOOK_AT_ONCE);
            let mut parts = reply::array(self.core.link.ask(keys.tag(), cmd).await?)?.into_iter();
            let looked = parts.next().as_ref().map(reply::count).transpose()?.unwrap_or(0);
            while let (Some(why), Some(count)) = (parts.next(), parts.next()) {
                *sums.entry(reply::text(why)?).or_default() += reply::count(&count)?;
            }
            offset += looked;
            if looked < LOOK_AT_ONCE as u64 {
                break;
            }
        }
        let (mut suppressed, mut dead) = (Vec::new(), Vec::new());
        for (why, count) in sums {
            let (kind, reason) = why.split_once('\t').unwrap_or_default();
            let reason = serde_json::from_str(reason)
                .map_err(|_| StoreError::Corrupt("a reason is not as Fanfare wrote it".into()))?;
            let list = if kind == pack::letter(StateKind::Suppressed) {
                &mut suppressed
            } else {
                &mut dead
            };
            list.push(Tally { reason, count });
        }
        Ok((suppressed, dead))
    }

    async fn counts(&self, tenant: &str, from: Ms, to: Ms) -> Result<Counts> {
        let keys = self.core.keys.tenant(tenant);
        let mut sums = [0; 7];
        let mut position = (String::from("0"), String::new());
        loop {
            let mut cmd = script::call(&script::COUNTS, &[&keys.log(), &keys.outcomes()]);
            cmd.arg(from).arg(to).arg(&position.0).arg(&position.1).arg(LOOK_AT_ONCE);
            let mut parts = reply::array(self.core.link.ask(keys.tag(), cmd).await?)?.into_iter();
            for sum in &mut sums {
                *sum += parts.next().as_ref().map(reply::count).transpose()?.unwrap_or(0);
            }
            let (Some(score), Some(member)) = (parts.next(), parts.next()) else { break };
            position = (reply::text(score)?, reply::text(member)?);
        }
        let [received, pending, unrouted, delivered, waiting, suppressed, dead] = sums;
        Ok(Counts { received, pending, unrouted, delivered, waiting, suppressed, dead })
    }

    async fn note_indexed(&self) -> Result<()> {
        search::note(&self.core).await
    }

    async fn indexed_since(&self, paths: &[String]) -> Result<Option<u64>> {
        search::since(&self.core, paths).await
    }

    async fn usage(&self, tenants: &[Arc<str>]) -> Result<Vec<Usage>> {
        let mut all = Vec::with_capacity(tenants.len());
        for part in tenants.chunks(USAGES_AT_ONCE) {
            let mut batch = Batch::new();
            for tenant in part {
                let keys = self.core.keys.tenant(tenant);
                let names = [keys.usage(), keys.events(), keys.lanes()];
                let mut cmd = script::call(&script::USAGE, &names.each_ref().map(String::as_str));
                cmd.arg(&keys.base).arg(&keys.name);
                batch.push(keys.tag(), cmd);
            }
            for answer in self.core.link.run(&batch).await? {
                let parts = reply::array(answer)?;
                let number = |at: usize| {
                    let number = parts.get(at).map_or(Ok(0), reply::int)?;
                    Ok::<_, StoreError>(number.max(0).unsigned_abs())
                };
                all.push(Usage { stored_bytes: number(0)?, waiting: number(1)? });
            }
        }
        Ok(all)
    }
}

fn wanted(query: &DeliveryQuery, record: &DeliveryRecord) -> bool {
    query.state.is_none_or(|state| state == record.state.kind())
        && query.lane.as_ref().is_none_or(|wanted| wanted.covers(record.lane.as_str()))
}
