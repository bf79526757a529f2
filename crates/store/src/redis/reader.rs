//! Reads the stream so that nothing is lost between the server and the caller.
//!
//! The server counts an entry as read the moment it answers. A read therefore runs in a task of its
//! own. If the caller goes away, the task continues, and the next caller gets its entries. No entry
//! is read without a caller. When a connection breaks during a read, the server may have sent
//! entries that never arrived. Then all entries that it holds pending for this replica are searched
//! for missing ones.
//!
//! The stream is one queue for all tenants. While it holds many entries, the reader reads further
//! than its caller asks for and returns entries of all tenants in turn. How far is bounded, because
//! entries that this replica has read are not read by another one.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::connection::Batch;
use super::fault::Fault;
use super::handoff::Handoff;
use super::keys::Tag;
use super::mark::Seal;
use super::{Core, LONGEST_BLOCK, reply};
use crate::{Admission, Entry, EntryId, Payload, Result, Share, StoreError, Turns, Unlimited};

/// How many pending entries are searched in one round trip.
const PENDING_PAGE: usize = 500;
/// Up to this many entries at once, each gains by the short path (`enter`).
const FEW: usize = 4;
/// Bytes in one answer, about. The server bounds an answer by number alone.
const READ_BYTES: usize = 8 << 20;
/// The size that an entry is expected to have before any came.
const UNKNOWN_ENTRY_BYTES: usize = 4 << 20;
/// A read that finds at least this many is followed by a look ahead.
const MANY: usize = 256;
/// Entries that are read ahead: about what a replica settles in a second or two.
pub(super) const AHEAD: usize = 16_384;
/// Bytes that are read ahead, beyond one more step.
const AHEAD_BYTES: usize = 8 << 20;
/// Entries of one look ahead.
const AHEAD_STEP: usize = 2_048;
/// The minimum time for a read that another caller left running.
const LEFT_RUNNING: Duration = Duration::from_millis(20);

/// Reads for this replica.
pub(super) struct Reader {
    /// Entries that this process added itself.
    pub(super) handoff: Handoff,
    shared: Arc<Shared>,
    turn: tokio::sync::Mutex<Turn>,
}

/// What a running read needs.
struct Shared {
    core: Arc<Core>,
    /// Entries that were returned and are not settled, with the ledger's answer for those that were
    /// admitted when they were added.
    hand: Mutex<HashMap<EntryId, Option<Admission>>>,
    /// How many more times to search for pending entries that never arrived.
    recheck: AtomicU8,
    /// This replica has a heartbeat.
    registered: AtomicBool,
    /// The size of a large entry among those that came last, in bytes.
    entry_bytes: AtomicUsize,
}

#[derive(Default)]
struct Turn {
    /// Entries beyond what the caller wanted.
    spare: Turns<Entry>,
    /// The last read found as much as it could, and that was much.
    is_full: bool,
    running: Option<AbortOnDropHandle<Result<Vec<Entry>>>>,
    /// The last read returned many entries. Then reading them together costs less than the short
    /// path.
    busy: bool,
}

impl Reader {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let shared = Shared {
            core,
            hand: Mutex::default(),
            recheck: AtomicU8::new(0),
            registered: AtomicBool::new(false),
            entry_bytes: AtomicUsize::new(UNKNOWN_ENTRY_BYTES),
        };
        let (handoff, turn) = (Handoff::default(), tokio::sync::Mutex::default());
        Self { handoff, shared: Arc::new(shared), turn }
    }

    /// See [`crate::Log::read_shared`].
    pub(super) async fn read(
        &self,
        max: usize,
        wait: Duration,
        share: &dyn Share,
    ) -> Result<Vec<Entry>> {
        let end = Instant::now() + wait;
        let Ok(mut turn) = timeout_at(end, self.turn.lock()).await else {
            return Ok(Vec::new());
        };
        let mut is_last = false;
        loop {
            turn.put(self.handoff.fetch());
            // A look ahead does not wait for entries, and what it finds takes part in this turn.
            let is_looking = turn.is_full && turn.running.is_some() && !turn.is_far_ahead();
            let taken =
                if is_looking && !is_last { Vec::new() } else { turn.spare.take(max, share) };
            if is_last || !taken.is_empty() {
                self.look_ahead(&mut turn);
                return Ok(taken);
            }
            if !is_looking && turn.is_far_ahead() {
                // Every tenant that is known has had its share.
                is_last = timeout_at(end, self.handoff.rings()).await.is_err();
                continue;
            }
            self.register().await?;
            // A new read ends by itself. A read that another caller left may block for longer.
            let until = if turn.running.is_some() {
                end.max(Instant::now() + LEFT_RUNNING)
            } else {
                end + Duration::from_mins(1)
            };
            let busy = turn.busy;
            let running = turn.running.get_or_insert_with(|| self.start(max, wait));
            let joined = {
                let _open = (!busy).then(|| self.handoff.open(max.min(FEW)));
                tokio::select! {
                    joined = timeout_at(until, running) => Some(joined),
                    () = self.handoff.rings() => None,
                }
            };
            turn.put(self.handoff.fetch());
            let Some(joined) = joined else { continue };
            is_last = true;
            let Ok(joined) = joined else { continue };
            turn.running = None;
            let entries = joined.map_err(|error| StoreError::Other {
                message: "a read of the stream was aborted".to_owned(),
                source: Some(Box::new(error)),
            })?;
            // Entries that came in meanwhile count as read, so they must reach the caller.
            match entries {
                Err(error) if turn.spare.is_empty() => return Err(error),
                entries => {
                    let entries = entries.unwrap_or_default();
                    turn.busy = entries.len() > FEW;
                    turn.is_full = entries.len() >= max.max(MANY);
                    // If all of them are of tenants that have had their share, more are read.
                    let is_over = turn.spare.is_empty() || Instant::now() >= end;
                    is_last = entries.is_empty() && is_over;
                    turn.put(entries);
                }
            }
        }
    }

    /// Starts to read further while much waits in the stream: one tenant's backlog there must not
    /// hide the entries of others behind it.
    fn look_ahead(&self, turn: &mut Turn) {
        let room = AHEAD.saturating_sub(turn.spare.len());
        if turn.is_full && !turn.is_far_ahead() && turn.running.is_none() {
            turn.running = Some(self.start(room.min(AHEAD_STEP), Duration::ZERO));
        }
    }

    fn start(&self, max: usize, wait: Duration) -> AbortOnDropHandle<Result<Vec<Entry>>> {
        let shared = Arc::clone(&self.shared);
        AbortOnDropHandle::new(tokio::spawn(async move { shared.fetch(max.max(1), wait).await }))
    }

    /// Whether this process reads the stream.
    pub(super) fn is_registered(&self) -> bool {
        self.shared.registered.load(Ordering::Acquire)
    }

    /// Writes the first heartbeat before this replica holds an entry.
    pub(super) async fn register(&self) -> Result<()> {
        if !self.shared.registered.load(Ordering::Acquire) {
            self.shared.core.beat().await?;
            self.shared.registered.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Ends the running read and drops entries that no caller fetched. The server keeps them
    /// pending.
    pub(super) async fn stop(&self) {
        let running = {
            let mut turn = self.turn.lock().await;
            self.handoff.wait_for_all().await;
            turn.put(self.handoff.fetch());
            for entry in turn.spare.take(usize::MAX, &Unlimited) {
                self.shared.hand().remove(&entry.id);
            }
            turn.running.take()
        };
        if let Some(running) = running {
            running.abort();
            let _ = running.await;
        }
        self.shared.core.reads.hang_up().await;
        self.shared.doubt();
        self.shared.registered.store(false, Ordering::Release);
    }

    /// Registers entries that came by another call than a read.
    pub(super) fn took(&self, seal: &Seal, entries: Vec<Value>) -> Result<Vec<Entry>> {
        Ok(self.shared.receive(seal, entries)?.0)
    }

    /// Up to how many entries to take at once, so that their bytes are bounded too.
    pub(super) fn bounded(&self, max: usize) -> usize {
        self.shared.bounded(max)
    }

    /// Registers an entry that was admitted when it was added. False if it is registered already.
    pub(super) fn admitted(&self, entry: EntryId, admission: Admission) -> bool {
        self.shared.hand().insert(entry, Some(admission)).is_none()
    }

    /// The ledger's answer for an entry that was admitted when it was added.
    pub(super) fn admission(&self, entry: EntryId) -> Option<Admission> {
        self.shared.hand().get(&entry).copied().flatten()
    }

    /// Registers events that come again without a read. Returns those that were not in hand.
    pub(super) fn adopt(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut hand = self.shared.hand();
        let mut is_new = |entry: &Entry| hand.insert(entry.id, None).is_none();
        entries.into_iter().filter(|entry| is_new(entry)).collect()
    }

    /// Entries that were returned and are not settled.
    pub(super) fn in_hand(&self) -> HashSet<EntryId> {
        self.shared.hand().keys().copied().collect()
    }

    /// Whether an entry was returned and is not settled.
    pub(super) fn has(&self, entry: EntryId) -> bool {
        self.shared.hand().contains_key(&entry)
    }

    /// Those of `entries` that are not in hand, and were not `before`.
    pub(super) fn not_in_hand(
        &self,
        mut entries: Vec<EntryId>,
        before: &HashSet<EntryId>,
    ) -> Vec<EntryId> {
        let hand = self.shared.hand();
        entries.retain(|entry| !before.contains(entry) && !hand.contains_key(entry));
        entries
    }

    /// Records that a failed call may have read entries.
    pub(super) fn doubt(&self) {
        self.shared.doubt();
    }

    /// These are settled.
    pub(super) fn settled(&self, entries: impl Iterator<Item = EntryId>) {
        let mut hand = self.shared.hand();
        for entry in entries {
            hand.remove(&entry);
        }
    }
}

impl Turn {
    /// No more is read before some of it was taken.
    fn is_far_ahead(&self) -> bool {
        self.spare.len() >= AHEAD || self.spare.weight() >= AHEAD_BYTES
    }

    fn put(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            let (tenant, bytes) = tenant_and_bytes(&entry.payload);
            self.spare.push(&tenant, bytes, entry);
        }
    }
}

/// Whose entry it is, and the bytes of its content. An entry that names no tenant is rejected later.
fn tenant_and_bytes(payload: &Payload) -> (Arc<str>, usize) {
    match payload {
        Payload::Event(event) => (Arc::clone(&event.tenant), event.body.len()),
        Payload::Raw(fields) => {
            let tenant = fields.iter().find(|(name, _)| name == "tenant");
            let tenant = tenant.and_then(|(_, tenant)| std::str::from_utf8(tenant).ok());
            let bytes = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
            (tenant.unwrap_or_default().into(), bytes)
        }
    }
}

impl Shared {
    fn hand(&self) -> std::sync::MutexGuard<'_, HashMap<EntryId, Option<Admission>>> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Two searches: a command on the broken connection may still be waiting to run.
    fn doubt(&self) {
        self.recheck.store(2, Ordering::Release);
    }

    /// Up to how many entries to ask for, so that their bytes are bounded too.
    fn bounded(&self, max: usize) -> usize {
        (READ_BYTES / self.entry_bytes.load(Ordering::Relaxed).max(1)).clamp(1, max.max(1))
    }

    /// Learns from an answer how large entries are: at once if they are larger than before, and
    /// gradually if they are smaller.
    fn note_sizes(&self, entries: &[Entry]) {
        let Some(largest) = entries.iter().map(|entry| bytes_of(&entry.payload)).max() else {
            return;
        };
        let before = self.entry_bytes.load(Ordering::Relaxed);
        self.entry_bytes.store(largest.max(before / 4).max(1), Ordering::Relaxed);
    }

    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Entry>> {
        let seal = self.core.seal().await?;
        // One try each for a lost group, an aborted wait, a broken connection, and the read itself.
        // All of them can happen to one read, because a read can last long.
        for tries_left in (0..4).rev() {
            if self.recheck.load(Ordering::Acquire) > 0 {
                match self.lost(max, &seal).await {
                    Ok(lost) if lost.is_empty() => {}
                    Ok(lost) => return Ok(lost),
                    Err(fault) if fault.dropped && tries_left > 0 => continue,
                    Err(fault) => return Err(fault.into()),
                }
            }
            let count = self.bounded(max);
            match self.core.reads.run_once(&self.command(count, wait, ">")).await {
                Ok(mut values) => {
                    let entries = of_one_stream(values.pop().unwrap_or(Value::Nil))?;
                    return Ok(self.receive(&seal, entries)?.0);
                }
                Err(fault) if fault.no_group && tries_left > 0 => self.core.make_group().await?,
                Err(fault) if fault.unblocked && tries_left > 0 => {}
                Err(fault) => {
                    self.doubt();
                    if !fault.dropped || tries_left == 0 {
                        return Err(fault.into());
                    }
                }
            }
        }
        Ok(Vec::new())
    }

    /// Up to `max` entries that the server holds pending for this replica and that never arrived.
    async fn lost(&self, max: usize, seal: &Seal) -> Result<Vec<Entry>, Fault> {
        let less = |left: u8| left.checked_sub(1);
        let _ = self.recheck.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        let mut lost = Vec::new();
        let mut from = "0".to_owned();
        loop {
            let count = self.bounded(PENDING_PAGE);
            let answer =
                self.core.reads.run_once(&self.command(count, Duration::ZERO, &from)).await;
            let mut values = match answer {
                Ok(values) => values,
                Err(fault) if fault.no_group => return Ok(lost),
                Err(fault) => {
                    self.doubt();
                    // Entries that were found count as read, so they must reach the caller.
                    return if lost.is_empty() { Err(fault) } else { Ok(lost) };
                }
            };
            let page = of_one_stream(values.pop().unwrap_or(Value::Nil))?;
            let full = page.len() == count;
            let (entries, end) = self.receive(seal, page)?;
            lost.extend(entries);
            if !full {
                return Ok(lost);
            }
            if lost.len() >= max {
                self.doubt();
                return Ok(lost);
            }
            from = end.map_or(from, |end| end.to_string());
        }
    }

    fn command(&self, max: usize, wait: Duration, from: &str) -> Batch {
        let mut cmd = Cmd::new();
        cmd.arg("XREADGROUP").arg("GROUP").arg(&self.core.group).arg(&self.core.replica);
        cmd.arg("COUNT").arg(max);
        // BLOCK 0 would wait without a limit.
        let block = u64::try_from(wait.min(LONGEST_BLOCK).as_millis()).unwrap_or(0);
        if block > 0 && from == ">" {
            cmd.arg("BLOCK").arg(block);
        }
        cmd.arg("STREAMS").arg(&*self.core.keys.stream).arg(from);
        Batch::one(Tag::Stream, cmd)
    }

    /// Converts entries, without those that were already returned. Also returns the last id.
    fn receive(&self, seal: &Seal, values: Vec<Value>) -> Result<(Vec<Entry>, Option<EntryId>)> {
        let mut entries = Vec::with_capacity(values.len());
        let mut last = None;
        let mut hand = self.hand();
        for value in values {
            let mut parts = reply::array(value)?.into_iter();
            let id = reply::entry_id(parts.next().unwrap_or(Value::Nil))?;
            last = Some(id);
            if let MapEntry::Vacant(place) = hand.entry(id) {
                place.insert(None);
                // An entry that was deleted while pending has no fields. Settling acknowledges it.
                let fields = reply::array(parts.next().unwrap_or(Value::Nil))?;
                entries.push(Entry { id, payload: payload(seal, pairs(fields)?) });
            }
        }
        drop(hand);
        self.note_sizes(&entries);
        Ok((entries, last))
    }
}

/// Our own entries were checked when they were added. Entries of producers must still be checked.
pub(super) fn payload(seal: &Seal, fields: Vec<(Bytes, Bytes)>) -> Payload {
    match seal.read_entry(&fields) {
        Some(event) => Payload::Event(Arc::new(event)),
        None => Payload::Raw(fields),
    }
}

fn bytes_of(payload: &Payload) -> usize {
    match payload {
        Payload::Event(event) => event.body.len(),
        Payload::Raw(fields) => fields.iter().map(|(name, value)| name.len() + value.len()).sum(),
    }
}

pub(super) fn pairs(fields: Vec<Value>) -> Result<Vec<(Bytes, Bytes)>> {
    let mut pairs = Vec::with_capacity(fields.len() / 2);
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let bytes =
            |value| Ok::<_, StoreError>(Bytes::from(reply::bytes(value)?.unwrap_or_default()));
        pairs.push((bytes(name)?, bytes(value)?));
    }
    Ok(pairs)
}

/// The entries in an answer of XREADGROUP on one stream.
fn of_one_stream(value: Value) -> Result<Vec<Value>> {
    let Some(stream) = reply::array(value)?.pop() else { return Ok(Vec::new()) };
    reply::array(reply::array(stream)?.pop().unwrap_or(Value::Nil))
}
