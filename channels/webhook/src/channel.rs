//! The channel: one HTTP client, and one attempt through it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{
    ANSWER_KEPT, AnswerPart, Asker, Channel, ChannelService, Delivery, DeliveryError, FieldError,
    Policy, PreparedLane, RETRY_AFTER_MAX, Receipt, Resolve, Revealed, retry_after,
};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy;
use serde_json::{Map, Value};

use crate::client::{ASKER, Client, Clients};
use crate::config::{Config, Error};
use crate::connection::Talk;
use crate::guard::Guard;
use crate::resolver::Guarded;
use crate::settings::{self, Prepared, headers};
use crate::{failure, request, secret};

/// Longest wait for the body of an answer. The status has decided the outcome by then. The body is
/// for people only and must not turn an accepted delivery into a timeout.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Sends signed webhooks. All destinations share one pool of connections.
pub struct WebhookChannel {
    sender: Arc<Sender>,
    clients: Clients,
    guard: Guard,
    /// The headers of every request.
    fixed: Arc<HeaderMap>,
}

struct Sender {
    client: Client,
    answer_limit: usize,
}

impl WebhookChannel {
    /// A channel that resolves names with `resolver`. The guard checks its answers.
    pub fn new(config: Config, resolver: Arc<dyn Resolve>) -> Result<Self, Error> {
        let guard =
            Guard { development: config.development, allowed: config.allowed_networks.clone() };
        let answer_limit = config.answer_limit_bytes;
        let user_agent = HeaderValue::from_str(&config.user_agent)
            .map_err(|_| Error::UserAgent(config.user_agent.clone()))?;
        let clients = Clients::new(config, Guarded { guard: guard.clone(), inner: resolver });
        let client = clients.shared()?;
        let fixed = Arc::new(headers::fixed(&user_agent));
        Ok(Self { sender: Arc::new(Sender { client, answer_limit }), clients, guard, fixed })
    }
}

impl Channel for WebhookChannel {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn objections(
        &self,
        before: Option<&Map<String, Value>>,
        settings: &Map<String, Value>,
    ) -> Vec<FieldError> {
        settings::objections::objections(before, settings)
    }

    fn settings_schema(&self) -> Value {
        settings::schema()
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &crate::SECRET_FIELDS
    }

    fn signing_fields(&self) -> &'static [&'static str] {
        &crate::SIGNING_FIELDS
    }

    fn receiver(&self, settings: &Map<String, Value>) -> Option<String> {
        settings::receiver(settings)
    }

    fn policy(&self) -> Policy {
        let secs = [5, 30];
        let mins = [5, 30];
        let hours = [2, 5, 10, 14, 20, 24];
        let schedule = secs
            .map(Duration::from_secs)
            .into_iter()
            .chain(mins.map(Duration::from_mins))
            .chain(hours.map(Duration::from_hours));
        Policy {
            schedule: schedule.collect(),
            jitter: 0.2,
            retry_after_cap: RETRY_AFTER_MAX,
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(25),
            quick_retry: true,
            concurrency: 64,
            rate: None,
            channel_concurrency: 1024,
            endless: false,
            disable_after: Some(Duration::from_hours(5 * 24)),
            bounces: None,
        }
    }

    fn complete(&self, settings: &mut Map<String, Value>) -> Vec<Revealed> {
        if settings.get("secret").is_some_and(|secret| !secret.is_null()) {
            return Vec::new();
        }
        // Without randomness the secret stays missing, and `prepare` reports it.
        let Ok(value) = secret::generate() else { return Vec::new() };
        settings.insert("secret".to_owned(), Value::from(value.as_str()));
        vec![Revealed { field: "secret", value }]
    }

    fn prepare(&self, settings: &Map<String, Value>) -> Result<Vec<PreparedLane>, Vec<FieldError>> {
        let mut prepared = settings::prepare(settings, &self.guard, &self.fixed)?;
        if let Some(pem) = settings.get("ca").and_then(Value::as_str) {
            let client = self.clients.trusting(pem);
            prepared.client = Some(client.map_err(|_| vec![settings::not_pem()])?);
        }
        let label = prepared.host.clone();
        Ok(vec![PreparedLane { suffix: None, label, pace: None, settings: Arc::new(prepared) }])
    }

    fn masked(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        settings::masked(settings)
    }

    fn service(&self) -> ChannelService {
        let sender = self.sender.clone();
        ChannelService::new(tower::service_fn(move |delivery| {
            let sender = sender.clone();
            async move { sender.attempt(&delivery).await }
        }))
    }
}

impl fmt::Debug for WebhookChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookChannel").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Sender {
    /// Sends one POST. Dropping the future closes its connection and affects no other attempt.
    async fn attempt(&self, delivery: &Delivery) -> Result<Receipt, DeliveryError> {
        let Some(to) = delivery.destination.settings::<Prepared>() else {
            let message = "another channel prepared the destination; this is a bug in Fanfare";
            return Err(DeliveryError::permanent("wrong_channel", message));
        };
        let request = request::build(to, delivery)?;
        let asker = Asker::Tenant(delivery.destination.tenant.clone());
        let client = to.client.as_deref().unwrap_or(&self.client).pool(delivery.resend);
        let response = match ASKER.scope(asker, client.request(request)).await {
            Ok(response) => response,
            Err(error) => return unread(to, error),
        };
        if let Some(talk) = response.extensions().get::<Talk>() {
            talk.answered();
        }
        let status = response.status();
        if status.is_success() {
            let (answer, remark) = self.answer(response).await;
            return Ok(accepted(status, answer, remark));
        }
        let waits = response.headers().get_all(RETRY_AFTER);
        let wait = retry_after(waits.iter().map(HeaderValue::as_bytes), delivery.at());
        let (answer, _) = self.answer(response).await;
        Err(failure::refused(to, status, wait, answer))
    }

    /// The first part of the answer, and a remark if it was cut. The connection can be reused only
    /// if the answer is read to its end. Beyond the limits, closing it is cheaper.
    async fn answer(&self, response: Response<Incoming>) -> (AnswerPart, Option<String>) {
        let mut body = response.into_body();
        if body.size_hint().exact() == Some(0) {
            return (AnswerPart::default(), None);
        }
        let mut kept = Vec::new();
        let read = tokio::time::timeout(ANSWER_WAIT, self.read(&mut body, &mut kept)).await;
        let remark = match read {
            Ok(Read::Whole) => None,
            Ok(Read::Long) => {
                Some(format!("only the first {} bytes of the answer were read", self.answer_limit))
            }
            Ok(Read::Broken) => Some("the connection broke within the answer's body".to_owned()),
            Err(_) => Some(format!("the answer did not end within {} s", ANSWER_WAIT.as_secs())),
        };
        (AnswerPart::from_bytes(&kept), remark)
    }

    async fn read(&self, body: &mut Incoming, kept: &mut Vec<u8>) -> Read {
        let mut seen = 0;
        loop {
            match body.frame().await {
                Some(Ok(frame)) => {
                    // Trailers are ignored.
                    let chunk = frame.into_data().unwrap_or_default();
                    seen += chunk.len();
                    let room = ANSWER_KEPT - kept.len();
                    kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                None => return Read::Whole,
                Some(Err(_)) => return Read::Broken,
            }
            if seen > self.answer_limit {
                return Read::Long;
            }
        }
    }
}

fn accepted(status: StatusCode, answer: AnswerPart, remark: Option<String>) -> Receipt {
    Receipt { status: Some(status.as_u16()), answer, remark, ..Receipt::default() }
}

/// There is no answer that hyper could read. If it begins with a status line, that counts.
fn unread(to: &Prepared, error: legacy::Error) -> Result<Receipt, DeliveryError> {
    let talk = Talk::of_error(&error);
    let status = talk.as_ref().filter(|_| failure::is_unreadable(&error)).and_then(Talk::status);
    match status {
        Some(status) if status.is_success() => {
            let remark = "the headers of the answer are not HTTP; only its status was read";
            Ok(accepted(status, AnswerPart::default(), Some(remark.to_owned())))
        }
        Some(status) => Err(failure::refused(to, status, None, AnswerPart::default())),
        None => Err(failure::broken(&to.host, error, talk.as_ref())),
    }
}

/// How reading an answer ended.
enum Read {
    Whole,
    Long,
    Broken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_covers_three_days_and_five_days_of_failures_disable() {
        let resolver = Arc::new(fanfare_dns::Resolver::new(&fanfare_dns::Options::default()));
        let policy = WebhookChannel::new(Config::default(), resolver).unwrap().policy();
        let all: Duration = policy.schedule.iter().sum();
        assert_eq!(all.as_secs() / 3_600, 75);
        assert_eq!(policy.disable_after, Some(Duration::from_hours(120)));
    }
}
