//! The guard at the moment of connecting.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use fanfare_contract::{Asker, Channel as _, DeliveryError, Resolve, Verdict};
use fanfare_receivers::HttpReceiver;
use fanfare_webhook::{Config, WebhookChannel};
use serde_json::json;

use crate::support::{SECRET, resolver as real_resolver, send_to};

/// Answers the nth lookup with the nth list, and all later lookups with the last list.
struct Answers {
    lists: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Resolve for Answers {
    async fn resolve(&self, asker: Asker, _: &str) -> io::Result<Arc<[IpAddr]>> {
        assert_eq!(asker, Asker::Tenant("acme".into()), "a lookup counts for its tenant");
        let nth = self.asked.fetch_add(1, Ordering::SeqCst).min(self.lists.len() - 1);
        Ok(self.lists[nth].clone().into())
    }
}

fn resolver(lists: &[&[&str]]) -> Arc<Answers> {
    let ips = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
    Arc::new(Answers { lists: lists.iter().map(ips).collect(), asked: AtomicUsize::new(0) })
}

fn channel(allowed: &[&str], resolver: Arc<Answers>) -> WebhookChannel {
    let allowed_networks = allowed.iter().map(|net| net.parse().unwrap()).collect();
    let config = Config { allowed_networks, ..Config::default() };
    WebhookChannel::new(config, resolver).unwrap()
}

fn assert_blocked(error: &DeliveryError, kind: &str) {
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Permanent, "blocked_address"));
    assert!(error.message.contains(kind), "{error}");
    assert!(!error.maybe_accepted && !error.retry_at_once);
    assert!(!format!("{error:?}").contains("token"), "{error:?}");
}

#[tokio::test]
async fn a_name_that_resolves_to_a_blocked_address_is_never_connected_to() {
    let receiver = HttpReceiver::ok().await.unwrap();
    let port = receiver.addr().port();
    for (ip, kind) in [
        ("127.0.0.1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("10.0.0.1", "private"),
        ("169.254.169.254", "metadata"),
        ("fe80::1", "link-local"),
    ] {
        let channel = channel(&[], resolver(&[&[ip]]));
        let url = format!("https://hooks.example.com:{port}/token");
        assert_blocked(&send_to(&channel, &url).await.unwrap_err(), kind);
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_rebinding_name_is_checked_on_every_connection() {
    // First an allowed address, then a loopback address that is not allowed.
    let receiver = HttpReceiver::ok().await.unwrap();
    let answers = resolver(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let channel = channel(&["127.0.0.1/32"], Arc::clone(&answers));
    let url = format!("https://rebind.example.com:{}/token", receiver.addr().port());
    // The receiver does not speak TLS. The test is about the connection only.
    assert_eq!(send_to(&channel, &url).await.unwrap_err().code, "tls_failed");
    assert_eq!(receiver.connections(), 1);
    assert_blocked(&send_to(&channel, &url).await.unwrap_err(), "loopback");
    assert_eq!(receiver.connections(), 1);
    assert_eq!(answers.asked.load(Ordering::SeqCst), 2, "one lookup per connection");
}

#[tokio::test]
async fn only_the_allowed_addresses_of_a_name_are_used() {
    let receiver = HttpReceiver::ok().await.unwrap();
    let channel = channel(&["127.0.0.1/32"], resolver(&[&["10.0.0.1", "127.0.0.1", "::1"]]));
    let url = format!("https://mixed.example.com:{}/", receiver.addr().port());
    assert_eq!(send_to(&channel, &url).await.unwrap_err().code, "tls_failed");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_name_without_addresses_is_a_dns_failure_and_retried() {
    let channel = WebhookChannel::new(Config::default(), real_resolver()).unwrap();
    let error = send_to(&channel, "https://no-such-host.invalid/token").await.unwrap_err();
    assert_eq!(error.verdict, Verdict::Retry { not_before: None });
    assert_eq!(error.code, "dns_failed");
    assert!(!error.maybe_accepted);
    assert!(!format!("{error:?}").contains("token"), "{error:?}");
}

#[test]
fn a_blocked_address_in_the_url_is_refused_by_prepare() {
    let channel = WebhookChannel::new(Config::default(), real_resolver()).unwrap();
    let settings = json!({ "url": "https://[::ffff:10.0.0.1]/", "secret": SECRET });
    let errors = channel.prepare(settings.as_object().unwrap()).err().unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].field, "url");
    assert!(errors[0].message.contains("a private address"), "{errors:?}");
}
