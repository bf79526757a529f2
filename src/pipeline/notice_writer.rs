//! Stores notices: disables destinations in their tenants' documents and appends the router's own
//! events to the log.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::Event;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::notices::{Gone, Notice, Recovered, Report, own_event};
use super::warnings::{self, WarnAfter};
use crate::agenda::{Clock, Health};
use crate::event::own_event_id;
use crate::flow::BOUNCES_IN_A_ROW_WITHIN;
use crate::persist::Backoff;
use crate::tenant::{Disabled, Registry};
use fanfare_store::{Store, StoreError};

/// Stores notices.
pub(super) struct NoticeWriter {
    pub(super) clock: Clock,
    pub(super) warn: WarnAfter,
}

/// What follows from a report of a lane's health.
enum Judged {
    /// The lane goes on, perhaps with a warning.
    Goes(Option<Arc<Event>>),
    /// The lane is to be disabled.
    Disable(Gone),
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
            Notice::Dead { event } => Some(event.clone()),
            Notice::Gone(gone) => Some(self.disable(registry, gone).await?),
            Notice::Health(report) => match judge(store, self.warn, report).await? {
                Judged::Disable(gone) => {
                    let event = self.disable(registry, &gone).await?;
                    // When it is enabled again, the failures so far do not count.
                    store.agenda.well(&report.lane).await?;
                    Some(event)
                }
                Judged::Goes(warning) => warning,
            },
            Notice::Held(lane) => warnings::held(store, self.warn, lane).await?,
            Notice::Recovered(lane) => warnings::recovered(store, lane).await?,
        };
        match event {
            Some(event) => store.log.append(vec![event]).await.map(|_| ()),
            None => Ok(()),
        }
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

/// Records the health of a lane.
async fn judge(store: &Store, warn: WarnAfter, report: &Report) -> Result<Judged, StoreError> {
    let Report { lane, channel, environment, health, at_ms, disable_after, bounces } = report;
    if *health == Health::Healthy {
        store.agenda.well(lane).await?;
        let (lane, channel) = (lane.clone(), channel.clone());
        let recovered = Recovered { lane, channel, environment: *environment, at_ms: *at_ms };
        return Ok(Judged::Goes(warnings::recovered(store, &recovered).await?));
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
        (Health::Failing, ..) => {
            let warning = warnings::failing(store, warn, report, failing.since_ms).await?;
            return Ok(Judged::Goes(warning));
        }
        _ => return Ok(Judged::Goes(None)),
    };
    Ok(Judged::Disable(Gone {
        tenant: lane.tenant.clone(),
        lane: lane.id.clone(),
        channel: channel.clone(),
        environment: *environment,
        code: code.to_owned(),
        message: format!("{message}, then run `fanfare destinations enable`"),
    }))
}
