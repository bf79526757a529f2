//! The demo's receivers: a backend that takes webhooks, a mail server, and Slack.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare_receivers::{HttpReceiver, Received, Reply, SmtpReceiver, SmtpReply, Stage};
use fanfare_webhook::signature;

use super::super::output;

/// The secret of the sample table's webhook.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// How long Slack takes to answer here.
const SLOW: Duration = Duration::from_millis(400);

/// All of them, running.
pub(super) struct Receivers {
    pub(super) webhook: HttpReceiver,
    pub(super) slack: HttpReceiver,
    pub(super) smtp: SmtpReceiver,
    wrong: Arc<Mutex<Vec<String>>>,
}

/// What the webhook receiver found.
pub(super) struct Verified {
    pub(super) requests: usize,
    pub(super) wrong: Vec<String>,
}

impl Receivers {
    pub(super) async fn start() -> std::io::Result<Self> {
        let wrong = Arc::new(Mutex::new(Vec::new()));
        let found = wrong.clone();
        let failed = AtomicBool::new(false);
        let webhook = HttpReceiver::start(move |request, _| {
            if let Err(error) = verify(request) {
                found.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                return Reply::Status(401);
            }
            // The first attempt of one event meets a backend that is being deployed.
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
            Reply::After(SLOW, Box::new(ok))
        })
        .await?;
        let smtp = SmtpReceiver::start(|stage, _, _| match stage {
            Stage::Data => SmtpReply::After(Duration::from_millis(30), Box::new(SmtpReply::Ok)),
            _ => SmtpReply::Ok,
        })
        .await?;
        Ok(Self { webhook, slack, smtp, wrong })
    }

    pub(super) fn introduce(&self) {
        let rows = [
            ("webhook", self.webhook.addr(), "verifies both signatures; fails once with 503"),
            ("slack", self.slack.addr(), "slow: 400 ms an answer"),
            ("smtp", self.smtp.addr(), "takes every mail"),
        ];
        output::line(output::bold("Receivers on this machine"));
        for (name, address, what) in rows {
            output::line(format!("  {name:<8} {address:<18} {}", output::dim(what)));
        }
    }

    /// The sample table with the addresses of these receivers, and with times that suit a demo.
    pub(super) fn table(&self, sample: &str) -> String {
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
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Verified { requests: self.webhook.count(), wrong }
    }
}

/// Both schemes must be there and right.
fn verify(request: &Received) -> Result<(), String> {
    let now = crate::agenda::Clock::System.now_ms() / 1000;
    let tolerance = signature::DEFAULT_TOLERANCE_S;
    let schemes = signature::verify(SECRET, &request.headers, &request.body, now, tolerance);
    match schemes {
        Ok(schemes) if schemes.len() == 2 => Ok(()),
        Ok(schemes) => Err(format!("only {} of 2 signature schemes were there", schemes.len())),
        Err(error) => Err(error.to_string()),
    }
}
