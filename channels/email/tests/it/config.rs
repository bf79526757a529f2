//! The operator's settings.

use fanfare_contract::Channel as _;
use fanfare_email::{Config, DkimConfig, EmailChannel, Error, Security};

use crate::support::{Fixed, resolver};

fn refused(change: impl FnOnce(&mut Config)) -> Error {
    let mut config = Config::default();
    change(&mut config);
    EmailChannel::new(config, Fixed::hello(), resolver()).err().expect("an error")
}

#[test]
fn the_error_of_an_invalid_setting_names_it() {
    let secret = || Some(("user".to_owned(), "hunter2".to_owned()));
    let dkim = |pem: &str| {
        Some(DkimConfig {
            domain: "fanfare.example".into(),
            selector: "s1".into(),
            private_key_pem: pem.into(),
        })
    };
    for (field, error) in [
        ("host", refused(|c| c.host = String::new())),
        ("host", refused(|c| c.host = "smtp://mail.example".into())),
        ("port", refused(|c| c.port = 0)),
        ("from", refused(|c| c.from = "Fanfare".into())),
        ("from", refused(|c| c.from = "Fanfare <a@b.example> <c@d.example>".into())),
        ("allowed_from_domains", refused(|c| c.allowed_from_domains = vec!["a@b".into()])),
        ("reply_to", refused(|c| c.reply_to = Some("nobody".into()))),
        ("hello_name", refused(|c| c.hello_name = Some("a\r\nMAIL FROM:<x>".into()))),
        ("connections", refused(|c| c.connections = 0)),
        ("command_timeout", refused(|c| c.command_timeout = std::time::Duration::ZERO)),
        (
            "credentials",
            refused(|c| {
                c.host = "mail.example".into();
                c.security = Security::None;
                c.credentials = secret();
            }),
        ),
        ("unsubscribe_url", refused(|c| c.unsubscribe_url = Some("https://x.example/u".into()))),
        (
            "unsubscribe_url",
            refused(|c| c.unsubscribe_url = Some("http://x.example/u/{token}".into())),
        ),
        ("extra_roots_pem", refused(|c| c.extra_roots_pem = vec!["not PEM".into()])),
        ("dkim.private_key_pem", refused(|c| c.dkim = dkim("not PEM"))),
        (
            "dkim.private_key_pem",
            refused(|c| {
                let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
                c.dkim = dkim(&key.serialize_pem());
            }),
        ),
    ] {
        assert_eq!(error.field, field, "{error}");
        assert!(error.to_string().starts_with(&format!("email setting `{field}` ")), "{error}");
    }
}

#[test]
fn debug_output_hides_secrets() {
    let config = Config {
        credentials: Some(("user".into(), "hunter2".into())),
        dkim: Some(DkimConfig {
            domain: "fanfare.example".into(),
            selector: "s1".into(),
            private_key_pem: "PRIVATE".into(),
        }),
        ..Config::default()
    };
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("PRIVATE"), "{shown}");
}

#[test]
fn the_policy_is_the_documented_one() {
    let config = Config { connections: 5, ..Config::default() };
    let policy = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap().policy();
    let minutes: Vec<_> = policy.schedule.iter().map(|wait| wait.as_secs() / 60).collect();
    assert_eq!(minutes, [1, 5, 15, 60, 240, 720, 1440]);
    assert_eq!(policy.channel_concurrency, 20);
    assert_eq!((policy.bounces, policy.disable_after), (Some(3), None));
    assert_eq!(policy.attempt_timeout.as_secs(), 90);
    assert_eq!(policy.deadline.as_secs(), 120);
}
