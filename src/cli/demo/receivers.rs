//! The demo's receivers: a backend that receives webhooks, a mail server, and a stand-in for Slack.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare_receivers::{HttpReceiver, Received, Reply, SmtpReceiver, SmtpReply, Stage};
use fanfare_webhook::signature;

use super::super::output;

/// The secret of the sample tenant's webhook.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// How long the stand-in for Slack takes to answer.
const SLACK_DELAY: Duration = Duration::from_millis(400);

/// The running receivers.
pub(super) struct Receivers {
    pub(super) webhook: HttpReceiver,
    pub(super) slack: HttpReceiver,
    pub(super) smtp: SmtpReceiver,
    invalid: Arc<Mutex<Vec<String>>>,
}

/// What the webhook receiver verified.
pub(super) struct Verified {
    pub(super) requests: usize,
    /// One reason for each request whose signatures were not valid.
    pub(super) invalid: Vec<String>,
}

impl Receivers {
    pub(super) async fn start() -> std::io::Result<Self> {
        let invalid = Arc::new(Mutex::new(Vec::new()));
        let found = invalid.clone();
        let failed = AtomicBool::new(false);
        let webhook = HttpReceiver::start(move |request, _| {
            if let Err(error) = verify(request) {
                found.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                return Reply::Status(401);
            }
            // The backend is being deployed when the first attempt of this event arrives.
            let deploying = request.header("webhook-id") == "evt_03processed";
            if deploying && !failed.swap(true, Ordering::Relaxed) {
                return Reply::Full {
                    status: 503,
                    headers: vec![("retry-after".to_owned(), "1".to_owned())],
                    body: "deploying, try again soon".into(),
                };
            }
            Reply::Status(204)
        })
        .await?;
        let slack = HttpReceiver::start(|_, _| {
            let ok = Reply::Full { status: 200, headers: vec![], body: "ok".into() };
            Reply::After(SLACK_DELAY, Box::new(ok))
        })
        .await?;
        let smtp = SmtpReceiver::start(|stage, _, _| match stage {
            Stage::Data => SmtpReply::After(Duration::from_millis(30), Box::new(SmtpReply::Ok)),
            _ => SmtpReply::Ok,
        })
        .await?;
        Ok(Self { webhook, slack, smtp, invalid })
    }

    pub(super) fn introduce(&self) {
        let rows = [
            ("webhook", self.webhook.addr(), "verifies both signatures, and answers 503 once"),
            ("slack", self.slack.addr(), "is slow: it answers after 400 ms"),
            ("smtp", self.smtp.addr(), "accepts every email"),
        ];
        output::line(output::bold("Receivers on this machine"));
        for (name, address, what) in rows {
            output::line(format!("  {name:<8} {address:<18} {}", output::dim(what)));
        }
    }

    /// The sample tenant with the addresses of these receivers, and with short times.
    pub(super) fn tenant(&self, sample: &str) -> String {
        let webhook = self.webhook.url("/hooks/kyc");
        let retry = format!("\"{webhook}\"\nretry = [\"500ms\", \"1s\", \"2s\"]");
        sample
            .replace("\"http://127.0.0.1:9100/hooks/kyc\"", &retry)
            .replace(
                "http://127.0.0.1:9100/services/T000/B000/XXXX",
                &self.slack.url("/services/T000/B000/XXXX"),
            )
            .replace("schedule = \"0 8 * * 1-5\"", "schedule = \"*/4 * * * * *\"")
    }

    pub(super) fn verified(&self) -> Verified {
        let invalid = self.invalid.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Verified { requests: self.webhook.count(), invalid }
    }
}

/// Both signature schemes must be present and valid.
fn verify(request: &Received) -> Result<(), String> {
    let now = crate::agenda::Clock::System.now_ms() / 1000;
    let tolerance = signature::DEFAULT_TOLERANCE_S;
    let schemes = signature::verify(SECRET, &request.headers, &request.body, now, tolerance);
    match schemes {
        Ok(schemes) if schemes.len() == 2 => Ok(()),
        Ok(schemes) => Err(format!("the request has {} of 2 signatures", schemes.len())),
        Err(error) => Err(error.to_string()),
    }
}
