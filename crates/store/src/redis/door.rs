//! The short way of an event that this process takes in while it waits for something to read.
//!
//! Such an event would be added to the stream, read back in a second round trip and made known in a
//! third. `enter.lua` does all three: the event is in the stream and in this replica's hands, as if it
//! had been read, or, if something else was waiting to be read, that is. Nothing else changes: who
//! does not wait for entries, or has no room for more, takes no event this way, and others read it.
//!
//! The server counts the entry as read the moment it runs the script, so a task of its own awaits the
//! answer: whoever asked may go away. When the answer does not come, the entries that the server holds
//! for this replica are looked through, as after a read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_contract::Event;
use redis::Value;
use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock};

use super::connection::Batch;
use super::fault::Fault;
use super::keys::Tag;
use super::reader::Reader;
use super::{Core, pack, reply, script};
use crate::{Admission, Appended, Entry, Payload, Result, StoreError};

/// Where they come in.
#[derive(Default)]
pub(super) struct Door {
    /// How many more whoever waits for entries can take.
    room: AtomicUsize,
    /// Came in, and not yet fetched.
    came: Mutex<VecDeque<Entry>>,
    bell: Notify,
    /// Held by those on their way in.
    passing: Arc<RwLock<()>>,
}

/// It is open as long as this lives.
pub(super) struct Open<'a>(&'a Door);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.room.store(0, Ordering::Release);
    }
}

/// The right to bring one event in.
pub(super) struct Pass(#[expect(dead_code, reason = "held")] OwnedRwLockReadGuard<()>);

impl Door {
    /// Opens it for so many.
    pub(super) fn open(&self, room: usize) -> Open<'_> {
        self.room.store(room, Ordering::Release);
        Open(self)
    }

    /// Is somebody waiting for entries, with room for one more?
    pub(super) fn pass(&self) -> Option<Pass> {
        // First this: whoever waits for all must find those that found room.
        let passing = self.passing.clone().try_read_owned().ok()?;
        let less = |room: usize| room.checked_sub(1);
        self.room.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).ok()?;
        Some(Pass(passing))
    }

    /// Waits until something has come in.
    pub(super) async fn rings(&self) {
        self.bell.notified().await;
    }

    /// Takes what came in.
    pub(super) fn fetch(&self) -> VecDeque<Entry> {
        std::mem::take(&mut *self.came())
    }

    /// Waits for those on their way in; new ones need somebody who waits for entries.
    pub(super) async fn wait_for_all(&self) {
        drop(self.passing.write().await);
    }

    fn put(&self, entries: impl IntoIterator<Item = Entry>) {
        self.came().extend(entries);
        self.bell.notify_one();
    }

    fn came(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an event in. `None` when it is not known whether the stream has it now.
pub(super) async fn enter(
    core: &Arc<Core>,
    reader: &Arc<Reader>,
    event: &Arc<Event>,
    pass: Pass,
) -> Result<Option<Appended>> {
    let (core, reader, event) = (core.clone(), reader.clone(), event.clone());
    let entering = tokio::spawn(async move {
        let answer = exchange(&core, &reader, &event).await;
        if answer.is_err() {
            reader.doubt();
        }
        drop(pass);
        answer
    });
    let broke_off = |error| StoreError::Other {
        message: "an append to the stream broke off".to_owned(),
        source: Some(Box::new(error)),
    };
    match entering.await.map_err(broke_off)? {
        Ok(appended) => Ok(Some(appended)),
        Err(fault) if fault.dropped => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

async fn exchange(core: &Core, reader: &Reader, event: &Arc<Event>) -> Result<Appended, Fault> {
    let seal = core.seal().await?;
    let keys = core.keys.tenant(&event.tenant);
    let (events, log, tenants) = (keys.events(), keys.log(), keys.tenants());
    let (seen, last) = (keys.seen(), keys.last_seen());
    let names = [&*core.keys.stream, &events, &log, &tenants, &seen, &last];
    let mut cmd = script::call(&script::ENTER, &names);
    cmd.arg(&core.group).arg(&core.replica).arg(&keys.name).arg(&*event.id);
    cmd.arg(event.received_ms).arg(pack::head(event));
    seal.add_entry(&mut cmd, event);
    let mut batch = Batch::one(Tag::Stream, cmd);
    batch.confirm(Tag::Stream);
    let answer = core.bulk.run_once(&batch).await?.pop().unwrap_or(Value::Nil);

    let mut parts = reply::array(answer)?.into_iter();
    let mut next = || parts.next().unwrap_or(Value::Nil);
    let is_known = next() == Value::Int(1);
    let id = reply::entry_id(next())?;
    let admission = match next() {
        Value::Int(0) => Some(Admission::Fresh),
        Value::Int(2) => Some(Admission::Duplicate),
        _ => None,
    };
    let mut entries = reader.took(&seal, reply::array(next())?)?;
    if let Some(admission) = admission
        && reader.admitted(id, admission)
    {
        entries.push(Entry { id, payload: Payload::Event(event.clone()) });
    }
    reader.door.put(entries);
    Ok(if is_known { Appended::Duplicate } else { Appended::Accepted })
}
