//! The mark of entries that Fanfare itself added to the stream. Such entries were checked when they
//! were accepted and are not checked again, and only they may have the router's own event types.
//!
//! Every client that may `XADD` can write a field of this name, so the mark contains a MAC over the
//! whole entry. The first process creates the key of the MAC at random and stores it in Redis
//! beside the heartbeats. A client that can read it there could change every other key as well. A
//! producer whose rights are limited to the stream (`ACL SETUSER … ~fanfare:events +xadd`) cannot
//! read it. An entry with a wrong mark is treated as a producer's entry. An entry that is added
//! twice is a duplicate.
//!
//! If Redis loses its data, it loses the key too. Every replica then writes the key that it knows
//! with its next heartbeat, and uses the one that was written first.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fanfare_contract::{Environment, Event};
use hmac::{Hmac, KeyInit as _, Mac as _};
use redis::{Cmd, Value};
use sha2::Sha256;

use super::keys::Tag;
use super::pack::{quote, unquote};
use super::{Core, reply, script};
use crate::Result;

/// The name of the field. Producers do not write it.
const MARK: &str = "fanfare";
/// The field for the environment of events that are not live.
pub(super) const ENVIRONMENT: &str = "environment";
/// Bytes of the MAC that are kept. 128 bits cannot be guessed.
const KEPT: usize = 16;

/// Writes marks and checks them.
#[derive(Clone)]
pub(super) struct Seal {
    ours: Hmac<Sha256>,
    /// Our earlier key, if another replica's key was stored first.
    before: Option<Hmac<Sha256>>,
    text: Arc<str>,
}

/// The seal, once it is known.
#[derive(Default)]
pub(super) struct Held(Mutex<Option<Seal>>);

impl Held {
    fn get(&self) -> Option<Seal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers the key that is in the store.
    fn put(&self, text: &str) -> Seal {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(seal) if &*seal.text == text => seal.clone(),
            other => {
                let before = other.as_ref().map(|seal| seal.ours.clone());
                held.insert(Seal::new(text, before)).clone()
            }
        }
    }
}

impl Core {
    /// The seal. The first call reads its key from the server.
    pub(super) async fn seal(&self) -> Result<Seal> {
        if let Some(seal) = self.held.get() {
            return Ok(seal);
        }
        let (cmd, offered) = self.offer_key();
        let answer = self.link.ask(Tag::Replicas, cmd).await?;
        self.note_key(answer, &offered)
    }

    /// Writes the key if there is none, and returns the stored one.
    pub(super) fn offer_key(&self) -> (Cmd, Arc<str>) {
        let offered = self.offered();
        let mut cmd = redis::cmd("SET");
        cmd.arg(self.keys.mark_key()).arg(&*offered).arg("NX").arg("GET");
        (cmd, offered)
    }

    /// Handles the server's answer.
    pub(super) fn note_key(&self, answer: Value, offered: &str) -> Result<Seal> {
        Ok(match answer {
            Value::Nil => self.held.put(offered),
            there => self.held.put(&reply::text(there)?),
        })
    }

    /// Writes the heartbeat, and the key if it is missing.
    pub(super) async fn beat_with_key(&self, sign: &str) -> Result<()> {
        let offered = self.offered();
        let (replicas, key) = (self.keys.replicas(), self.keys.mark_key());
        let mut cmd = script::call(&script::BEAT, &[&replicas, &key]);
        cmd.arg(&self.replica).arg(sign).arg(&*offered);
        let answer = self.pulse.ask(Tag::Replicas, cmd).await?;
        self.note_key(answer, &offered).map(drop)
    }

    /// The key that this process knows, or a new one.
    fn offered(&self) -> Arc<str> {
        let random = || Arc::from(hex::encode(rand::random::<[u8; 32]>()));
        self.held.get().map_or_else(random, |seal| seal.text)
    }
}

impl Seal {
    fn new(text: &str, before: Option<Hmac<Sha256>>) -> Self {
        let ours = Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length");
        Self { ours, before, text: text.into() }
    }

    /// Adds the fields of an event after `XADD stream *`.
    pub(super) fn add_entry(&self, cmd: &mut Cmd, event: &Event) {
        let (id, kind) = (quote(&event.id), quote(&event.kind));
        let facts = format!("{id}\t{}\t{}\t{kind}", event.received_ms, event.created);
        let environment = if event.environment.is_live() { "" } else { event.environment.word() };
        let trace = event.trace.as_deref().unwrap_or_default();
        let parts =
            [event.tenant.as_bytes(), environment.as_bytes(), trace.as_bytes(), &event.body];
        let mac = over(&self.ours, &facts, parts).finalize().into_bytes();
        cmd.arg("tenant").arg(&*event.tenant).arg("event").arg(&event.body[..]);
        cmd.arg(MARK).arg(format!("{}\t{facts}", hex::encode(&mac[..KEPT])));
        if !trace.is_empty() {
            cmd.arg("traceparent").arg(trace);
        }
        if !environment.is_empty() {
            cmd.arg(ENVIRONMENT).arg(environment);
        }
    }

    /// The event of an entry with our mark. None for any other entry, which must be checked.
    pub(super) fn read_entry(&self, fields: &[(Bytes, Bytes)]) -> Option<Event> {
        let field = |name: &str| Some(&fields.iter().find(|(found, _)| found == name)?.1);
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let (mac, facts) = text(field(MARK)?)?.split_once('\t')?;
        let (tenant, body) = (text(field("tenant")?)?, field("event")?);
        let environment = field(ENVIRONMENT).map_or(Some(""), |word| text(word))?;
        let trace = field("traceparent").map_or(Some(""), |trace| text(trace))?;
        let mac = hex::decode(mac).ok().filter(|mac| mac.len() == KEPT)?;
        let parts = [tenant.as_bytes(), environment.as_bytes(), trace.as_bytes(), body];
        let genuine = [Some(&self.ours), self.before.as_ref()]
            .into_iter()
            .flatten()
            .any(|key| over(key, facts, parts).verify_truncated_left(&mac).is_ok());
        if !genuine {
            return None;
        }
        let mut facts = facts.split('\t');
        let id = unquote(facts.next()?).ok()?;
        let (received_ms, created) = (facts.next()?.parse().ok()?, facts.next()?.parse().ok()?);
        let kind = unquote(facts.next()?).ok()?;
        let environment = match environment {
            "" => Environment::Live,
            word => word.parse().ok()?,
        };
        let trace = (!trace.is_empty()).then(|| trace.into());
        let event =
            Event::new(tenant.into(), id.into(), kind.into(), created, received_ms, body.clone());
        Some(event.with_trace(trace).with_environment(environment))
    }
}

/// A MAC over the whole entry. Each part has its length, so parts cannot be shifted.
fn over(key: &Hmac<Sha256>, facts: &str, parts: [&[u8]; 4]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    for part in std::iter::once(facts.as_bytes()).chain(parts) {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(environment: Environment) -> Event {
        let body = Bytes::from_static(b"{\"id\":\"evt_1\",\"type\":\"a.b\",\"data\":{}}");
        Event::new("acme".into(), "evt_1".into(), "a.b".into(), 5, 7, body)
            .with_trace(Some("00-ab-cd-01".into()))
            .with_environment(environment)
    }

    fn entry(seal: &Seal, event: &Event) -> Vec<(Bytes, Bytes)> {
        let mut cmd = Cmd::new();
        seal.add_entry(&mut cmd, event);
        let args: Vec<Bytes> = cmd
            .args_iter()
            .map(|arg| match arg {
                redis::Arg::Simple(bytes) => Bytes::copy_from_slice(bytes),
                _ => panic!("only bytes"),
            })
            .collect();
        args.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    #[test]
    fn an_entry_of_ours_comes_back_as_it_was() {
        let seal = Seal::new("key", None);
        for environment in [Environment::Live, Environment::Test] {
            let event = event(environment);
            let back = seal.read_entry(&entry(&seal, &event)).unwrap();
            assert_eq!((&*back.id, &*back.kind, &*back.tenant), ("evt_1", "a.b", "acme"));
            assert_eq!((back.created, back.received_ms), (5, 7));
            assert_eq!(back.environment, environment);
            assert_eq!((back.trace, back.body), (event.trace, event.body));
        }
    }

    #[test]
    fn a_mark_is_good_for_its_own_entry_and_key_alone() {
        let seal = Seal::new("key", None);
        let fields = entry(&seal, &event(Environment::Live));
        assert!(Seal::new("other", None).read_entry(&fields).is_none());
        let before = seal.ours.clone();
        assert!(Seal::new("other", Some(before)).read_entry(&fields).is_some(), "after a change");
        for (at, (name, value)) in fields.iter().enumerate() {
            let mut changed = fields.clone();
            let mut bytes = value.to_vec();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            changed[at].1 = bytes.into();
            assert!(seal.read_entry(&changed).is_none(), "{name:?}");
        }
        let mut more = fields.clone();
        more.push((ENVIRONMENT.into(), "test".into()));
        assert!(seal.read_entry(&more).is_none(), "a field that was not there");
        for forged in ["", "\t", "00\t\"evt_1\"\t7\t5\t\"a.b\"", "39\t\"evt_1\"\t7\t5\t\"a.b\""] {
            let mut forged_fields = fields.clone();
            let at = forged_fields.iter().position(|(name, _)| name == MARK).unwrap();
            forged_fields[at].1 = forged.into();
            assert!(seal.read_entry(&forged_fields).is_none(), "{forged:?}");
        }
    }
}
