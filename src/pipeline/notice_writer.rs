//! Stores notices: disables destinations in their tenants' documents and appends the router's own
//! events to the log.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::Event;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::notices::{Gone, Held, Notice, Recovered, Report, own_event};
use crate::agenda::{Clock, Health, holds};
use crate::event::own_event_id;
use crate::flow::{BOUNCES_IN_A_ROW_WITHIN, HOLD_NOTICED_MS};
use crate::persist::Backoff;
use crate::tenant::{Disabled, Registry};
use fanfare_store::{Store, StoreError};

/// Stores notices.
pub(super) struct NoticeWriter {
    pub(super) clock: Clock,
}

impl NoticeWriter {
    /// Stores the notices of `inbox` until their notifier is gone. Waits for a store that is away.
    pub(super) async fn run(
        self,
        mut inbox: mpsc::Receiver<Notice>,
        store: Store,
        registry: Arc<Registry>,
    ) {
        let never = CancellationToken::new();
        while let Some(notice) = inbox.recv().await {
            let mut backoff = Backoff::default();
            while let Err(error) = self.write(&store, &registry, &notice).await {
                if error.is_about_data() {
                    tracing::error!(%error, "the store refuses a notice for good; it is dropped");
                    break;
                }
                backoff.wait("the store", &error, &never).await;
            }
        }
    }

    async fn write(
        &self,
        store: &Store,
        registry: &Registry,
        notice: &Notice,
    ) -> Result<(), StoreError> {
        let event = match notice {
            Notice::Dead { event } => event.clone(),
            Notice::Gone(gone) => self.disable(registry, gone).await?,
            Notice::Health(report) => {
                let Some(gone) = judge(store, report).await? else { return Ok(()) };
                let event = self.disable(registry, &gone).await?;
                // When it is enabled again, the failures so far do not count.
                store.agenda.well(&report.lane).await?;
                event
            }
            Notice::Held(held) => match hold(store, held).await? {
                Some(event) => event,
                None => return Ok(()),
            },
            Notice::Recovered(lane) => match recovered(store, lane).await? {
                Some(event) => event,
                None => return Ok(()),
            },
        };
        store.log.append(vec![event]).await.map(|_| ())
    }

    /// Disables a destination in its tenant's document. Returns the event that reports it.
    async fn disable(&self, registry: &Registry, gone: &Gone) -> Result<Arc<Event>, StoreError> {
        let Gone { tenant, lane, channel, environment, code, message } = gone;
        let at_ms = self.clock.now_ms();
        let disabled = Disabled { reason: code.clone(), message: message.clone(), at_ms };
        registry.disable(tenant, lane, disabled).await?;
        tracing::warn!(
            tenant = &**tenant,
            destination = lane.as_str(),
            code,
            "destination disabled: its events are kept as suppressed"
        );
        let mut data = json!({
            "destination": lane.destination(), "channel": &**channel,
            "code": code, "message": message, "disabled_at": at_ms / 1000,
        });
        if lane.recipient().is_some() {
            data["lane"] = lane.as_str().into();
        }
        let id = own_event_id("disabled", &[tenant, lane, &at_ms.to_string()]);
        let event = own_event(tenant, &id, "fanfare.destination.disabled", at_ms, &data);
        Ok(Arc::new(event.with_environment(*environment)))
    }
}

/// Notes why nothing is sent to a lane. Returns the event that reports it, once a hold has become
/// long.
async fn hold(store: &Store, held: &Held) -> Result<Option<Arc<Event>>, StoreError> {
    let Held { lane, channel, environment, hold, code, at_ms } = held;
    let mut note = holds::note(&*store.records, lane, hold, code, *at_ms).await?;
    if note.noticed || note.until_ms - note.since_ms < HOLD_NOTICED_MS {
        return Ok(None);
    }
    note.noticed = true;
    tracing::warn!(
        tenant = &*lane.tenant,
        destination = lane.id.as_str(),
        reason = note.reason,
        code,
        "nothing is sent to a destination for a while; its deliveries wait"
    );
    let data = json!({
        "destination": lane.id.destination(), "lane": lane.id.as_str(), "channel": &**channel,
        "reason": note.reason, "code": code,
        "held_since": note.since_ms / 1000, "held_until": note.until_ms / 1000,
    });
    let id = own_event_id("held", &[&lane.tenant, &lane.id, &note.since_ms.to_string()]);
    let event = own_event(&lane.tenant, &id, "fanfare.destination.held", *at_ms, &data);
    holds::write(&*store.records, lane, &note, *at_ms).await?;
    Ok(Some(Arc::new(event.with_environment(*environment))))
}

/// Forgets why nothing was sent to a lane. Returns the event that reports it, if the hold was
/// reported.
async fn recovered(store: &Store, lane: &Recovered) -> Result<Option<Arc<Event>>, StoreError> {
    let Recovered { lane, channel, environment, at_ms } = lane;
    let note = holds::forget(&*store.records, lane).await?;
    let Some(note) = note.filter(|note| note.noticed) else { return Ok(None) };
    let data = json!({
        "destination": lane.id.destination(), "lane": lane.id.as_str(), "channel": &**channel,
        "held_since": note.since_ms / 1000, "recovered_at": at_ms / 1000,
    });
    let id = own_event_id("recovered", &[&lane.tenant, &lane.id, &note.since_ms.to_string()]);
    let event = own_event(&lane.tenant, &id, "fanfare.destination.recovered", *at_ms, &data);
    Ok(Some(Arc::new(event.with_environment(*environment))))
}

/// Records the health of a lane. Returns why it is to be disabled, if it is.
async fn judge(store: &Store, report: &Report) -> Result<Option<Gone>, StoreError> {
    let Report { lane, channel, environment, health, at_ms, disable_after, bounces } = report;
    if *health == Health::Healthy {
        store.agenda.well(lane).await?;
        return Ok(None);
    }
    let gap = disable_after.unwrap_or(BOUNCES_IN_A_ROW_WITHIN);
    let failing = store.agenda.failing(lane, *at_ms, gap).await?;
    let failing_ms = u64::try_from(at_ms - failing.since_ms).unwrap_or(0);
    let (code, message) = match (health, disable_after, bounces) {
        (Health::Bouncing, _, Some(most)) if failing.told >= u64::from(*most) => {
            let times = failing.told;
            ("bounces", format!("the address was refused {times} times in a row; correct it"))
        }
        (Health::Failing, Some(after), _) if Duration::from_millis(failing_ms) >= *after => {
            let after = humantime::format_duration(*after);
            ("only_failures", format!("only failures for {after}; repair the receiver"))
        }
        _ => return Ok(None),
    };
    Ok(Some(Gone {
        tenant: lane.tenant.clone(),
        lane: lane.id.clone(),
        channel: channel.clone(),
        environment: *environment,
        code: code.to_owned(),
        message: format!("{message}, then run `fanfare destinations enable`"),
    }))
}
