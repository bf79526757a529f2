//! Shared fixtures: from settings to a delivery in one line.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_contract::{
    Channel as _, Content, Delivery, DeliveryError, DeliveryId, Destination, Event, Receipt,
    Resend, Resolve,
};
use fanfare_webhook::{Config, WebhookChannel};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// A secret whose decoded bytes are 0 to 31.
pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Unix milliseconds of every attempt.
pub(crate) const AT_MS: i64 = 1_700_000_000_999;
pub(crate) const AT: i64 = 1_700_000_000;
/// The event's `created`: ten seconds before the attempt.
const CREATED: i64 = AT - 10;
/// Odd spacing, order and escapes, so that any reserialization shows.
pub(crate) const BODY: &[u8] =
    b"{ \"type\":\"kyc.session.created\",\"id\" : \"evt_1\", \"data\":{\"z\":1.0,\"a\":\"\\u00e9\"}}";
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// The resolver of the router.
pub(crate) fn resolver() -> Arc<dyn Resolve> {
    Arc::new(fanfare_dns::Resolver::new(&fanfare_dns::Options::default()))
}

pub(crate) fn channel() -> WebhookChannel {
    WebhookChannel::new(Config { development: true, ..Config::default() }, resolver()).unwrap()
}

pub(crate) fn event() -> Event {
    let (tenant, id, kind) = ("acme".into(), "evt_1".into(), "kyc.session.created".into());
    Event::new(tenant, id, kind, CREATED, AT_MS, Bytes::from_static(BODY))
}

pub(crate) fn delivery(channel: &WebhookChannel, settings: &Value, content: Content) -> Delivery {
    let mut lanes = channel.prepare(settings.as_object().unwrap()).unwrap();
    let destination = Destination {
        tenant: "acme".into(),
        lane: "backoffice".into(),
        channel: "webhook".into(),
        settings: lanes.remove(0).settings,
    };
    Delivery {
        id: DeliveryId::derive("evt_1", "backoffice"),
        destination: Arc::new(destination),
        content,
        attempt: 1,
        at_ms: AT_MS,
        resend: Resend::Allowed,
    }
}

/// Runs one attempt with the default event.
pub(crate) async fn send(
    channel: &WebhookChannel,
    settings: &Value,
) -> Result<Receipt, DeliveryError> {
    let delivery = delivery(channel, settings, Content::Event(Arc::new(event())));
    channel.service().oneshot(delivery).await
}

/// Runs one attempt to `url`.
pub(crate) async fn send_to(channel: &WebhookChannel, url: &str) -> Result<Receipt, DeliveryError> {
    send(channel, &json!({ "url": url, "secret": SECRET })).await
}
