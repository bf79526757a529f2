//! The channel: its policy, and one attempt from rendering to the verdict.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{
    Channel, ChannelService, Delivery, DeliveryError, FieldError, Part, Policy, PreparedLane,
    Receipt, Resolve, Templates, Verdict,
};
use lettre::message::Mailbox;
use serde_json::{Map, Value};
use tower::service_fn;
use tower::util::BoxCloneSyncService;

use crate::compose::{Composer, Outgoing, Rendered};
use crate::config::{Config, Error, Security};
use crate::senders::Senders;
use crate::settings::{self, Defaults, Recipient};
use crate::smtp::{Dialer, Pool};
use crate::verdict;

/// Concurrent attempts per connection, so that some can compose while others send.
const ATTEMPTS_PER_CONNECTION: usize = 4;
/// Concurrent attempts to one address.
const CONCURRENCY: u32 = 16;
/// An address is disabled after this many hard bounces in a row.
const BOUNCES: u32 = 3;
const RETRY: Verdict = Verdict::Retry { not_before: None };
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Sends deliveries as email. Clones share connections.
#[derive(Clone)]
pub struct EmailChannel {
    inner: Arc<Inner>,
}

struct Inner {
    from: Mailbox,
    senders: Senders,
    reply_to: Option<Mailbox>,
    connections: usize,
    templates: Arc<dyn Templates>,
    composer: Composer,
    pool: Pool,
}

impl EmailChannel {
    /// A channel that renders with `templates` and resolves the mail server's name with `resolver`.
    /// It connects when there is something to send.
    #[expect(clippy::needless_pass_by_value, reason = "the caller has no use for it afterwards")]
    pub fn new(
        config: Config,
        templates: Arc<dyn Templates>,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, Error> {
        let parsed = config.parse()?;
        if config.security == Security::None && !config.is_loopback() {
            tracing::warn!(
                host = config.host,
                "email leaves this machine unencrypted; set `email.security`"
            );
        }
        let composer = Composer::new(&config, parsed.from.clone())?;
        let dialer = Dialer::new(&config, resolver)?;
        let pool = Pool::new(dialer, config.connections, config.idle_timeout);
        let inner = Inner {
            from: parsed.from,
            senders: parsed.senders,
            reply_to: parsed.reply_to,
            connections: config.connections,
            templates,
            composer,
            pool,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Channel for EmailChannel {
    fn name(&self) -> &'static str {
        "email"
    }

    fn settings_schema(&self) -> Value {
        settings::schema()
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn policy(&self) -> Policy {
        Policy {
            schedule: vec![MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR],
            jitter: 0.2,
            retry_after_cap: 24 * HOUR,
            attempt_timeout: Duration::from_secs(90),
            deadline: Duration::from_mins(2),
            quick_retry: false,
            concurrency: CONCURRENCY,
            rate: None,
            channel_concurrency: self.inner.connections * ATTEMPTS_PER_CONNECTION,
            endless: false,
            disable_after: None,
            bounces: Some(BOUNCES),
        }
    }

    fn prepare(&self, settings: &Map<String, Value>) -> Result<Vec<PreparedLane>, Vec<FieldError>> {
        settings::prepare(settings, self.inner.defaults())
    }

    fn objections(
        &self,
        before: Option<&Map<String, Value>>,
        settings: &Map<String, Value>,
    ) -> Vec<FieldError> {
        settings::objections(before, settings, self.inner.defaults())
    }

    fn masked(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        // The addresses belong to the tenant and are not secret.
        settings.clone()
    }

    fn service(&self) -> ChannelService {
        let inner = Arc::clone(&self.inner);
        BoxCloneSyncService::new(service_fn(move |delivery| attempt(Arc::clone(&inner), delivery)))
    }
}

/// Runs one attempt: renders and composes the mail, sends it, and judges the reply.
///
/// A template may take a while, so the mail is rendered before it waits for a connection. A mail
/// that is composed quickly is composed when it has one, because a composed mail takes more memory.
/// A slow one must not hold a connection in the meantime.
async fn attempt(inner: Arc<Inner>, delivery: Delivery) -> Result<Receipt, DeliveryError> {
    let rendered = inner.render(&delivery).await?;
    let (mail, slot) = if inner.composer.is_slow(&delivery.content) {
        (compose_on_blocking_pool(&inner, delivery, rendered).await?, inner.pool.slot().await)
    } else {
        let slot = inner.pool.slot().await;
        (inner.compose(&delivery, rendered)?, slot)
    };
    match slot.send(&mail).await {
        Ok(reply) => Ok(verdict::on_success(&reply, &mail.to, mail.remark)),
        Err(error) => Err(verdict::on_failure(error, &mail.to)),
    }
}

async fn compose_on_blocking_pool(
    inner: &Arc<Inner>,
    delivery: Delivery,
    rendered: Rendered,
) -> Result<Outgoing, DeliveryError> {
    let inner = Arc::clone(inner);
    let composed = tokio::task::spawn_blocking(move || inner.compose(&delivery, rendered)).await;
    composed.map_err(|error| {
        let verdict = if error.is_panic() { Verdict::Permanent } else { RETRY };
        DeliveryError::new(verdict, "compose_failed", "composing the message was interrupted")
            .with_source(error)
    })?
}

impl Inner {
    fn defaults(&self) -> Defaults<'_> {
        let Self { from, senders, reply_to, .. } = self;
        Defaults { from, senders, reply_to: reply_to.as_ref() }
    }

    async fn render(&self, delivery: &Delivery) -> Result<Rendered, DeliveryError> {
        let parts = [Part::Subject, Part::Html, Part::Text];
        let rendered =
            self.templates.render(delivery, &parts).await.map_err(verdict::on_render_error)?;
        let [subject, html, text] = <[String; 3]>::try_from(rendered).map_err(|parts| {
            failed(format!("the templates rendered {} parts instead of 3", parts.len()))
        })?;
        Ok(Rendered { subject, html, text })
    }

    fn compose(&self, delivery: &Delivery, rendered: Rendered) -> Result<Outgoing, DeliveryError> {
        let recipient = delivery.destination.settings::<Recipient>();
        let recipient = recipient.ok_or_else(|| {
            failed("another channel prepared the destination; this is a bug in Fanfare".to_owned())
        })?;
        // An earlier version stored it, or the operator has changed the setting. The operator can
        // allow it again, so this is not permanent.
        if let Some(reason) = &recipient.refused_sender {
            let message = format!("`from` {reason}");
            return Err(DeliveryError::retry("sender_not_allowed", message));
        }
        self.composer
            .compose(delivery, recipient, rendered)
            .map_err(|error| failed(error.to_string()).with_source(error))
    }
}

fn failed(message: String) -> DeliveryError {
    DeliveryError::permanent("compose_failed", message)
}
