//! The short path of an event that this process takes in while it waits for entries.
//!
//! Such an event would be added to the stream, read back in a second round trip, and admitted in a
//! third. `enter.lua` does all three: afterwards the event is in the stream and in the hands of
//! this replica, as if it had been read. If another entry was waiting to be read, that one comes
//! first. Nothing else changes. A process that does not wait for entries, or has no room for more,
//! takes no event this way, and other replicas read it.
//!
//! The server counts the entry as read the moment it runs the script, so a task of its own awaits
//! the answer: the caller may go away. When the answer does not come, the entries that the server
//! holds for this replica are looked through, as after a read.

use std::sync::Arc;

use fanfare_contract::Event;
use redis::Value;

use super::connection::Batch;
use super::fault::Fault;
use super::handoff::Pass;
use super::keys::Tag;
use super::reader::Reader;
use super::{Core, pack, reply, script, search};
use crate::{Admission, Appended, Entry, Payload, Result, StoreError};

/// Adds an event. `None` when it is not known whether the stream has it now.
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
        message: "an append to the stream was aborted".to_owned(),
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
    let (seen, last, usage) = (keys.seen(), keys.last_seen(), keys.usage());
    let names = [&*core.keys.stream, &events, &log, &tenants, &seen, &last, &usage];
    let mut cmd = script::call(&script::ENTER, &names);
    cmd.arg(&core.group).arg(&core.replica).arg(&keys.name).arg(&*event.id);
    cmd.arg(event.received_ms).arg(pack::head(event));
    cmd.arg(&keys.base).arg(search::hashes(core, &event.body));
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
    reader.handoff.put(entries);
    Ok(if is_known { Appended::Duplicate } else { Appended::Accepted })
}
