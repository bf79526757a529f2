//! TLS and authentication.

use std::net::SocketAddr;
use std::sync::Arc;

use fanfare_contract::Verdict;
use fanfare_email::{Config, EmailChannel, Security};
use fanfare_receivers::SmtpReceiver;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{Fixed, SOON, config, delivery, line_server, resolver, send};

const RETRY: Verdict = Verdict::Retry { not_before: None };

/// A certificate for `localhost`, and its authority in PEM.
fn certificate() -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// A TLS proxy in front of the receiver. With `starttls`, TLS starts after the plain part.
async fn front(receiver: &SmtpReceiver, acceptor: TlsAcceptor, starttls: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let behind = receiver.addr();
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut inside = TcpStream::connect(behind).await.unwrap();
                if starttls {
                    begin_without_tls(&mut outside, &mut inside).await;
                }
                // A client that does not trust the certificate closes the connection.
                let Ok(mut outside) = acceptor.accept(outside).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    addr
}

async fn begin_without_tls(outside: &mut TcpStream, inside: &mut TcpStream) {
    let mut read = [0; 512];
    let length = inside.read(&mut read).await.unwrap();
    outside.write_all(&read[..length]).await.unwrap();
    let length = outside.read(&mut read).await.unwrap();
    assert!(read[..length].starts_with(b"EHLO "));
    outside.write_all(b"250-front\r\n250 STARTTLS\r\n").await.unwrap();
    let length = outside.read(&mut read).await.unwrap();
    assert_eq!(&read[..length], b"STARTTLS\r\n");
    outside.write_all(b"220 go\r\n").await.unwrap();
}

fn secure(addr: SocketAddr, security: Security, roots: &str) -> EmailChannel {
    let config = Config {
        host: "localhost".into(),
        security,
        extra_roots_pem: vec![roots.to_owned()],
        ..config(addr)
    };
    EmailChannel::new(config, Fixed::hello(), resolver()).unwrap()
}

#[tokio::test]
async fn mail_goes_through_tls_from_the_first_byte_or_after_starttls() {
    for security in [Security::Tls, Security::StartTls] {
        let receiver = SmtpReceiver::ok().await.unwrap();
        let (acceptor, authority) = certificate();
        let addr = front(&receiver, acceptor, security == Security::StartTls).await;
        let channel = secure(addr, security, &authority);
        for n in 0..3 {
            send(&channel, &delivery(&channel, &format!("evt_{n}"), &json!({}))).await.unwrap();
        }
        receiver.wait_for(3, SOON).await;
        assert_eq!(receiver.connections_total(), 1);
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_gets_no_mail() {
    for security in [Security::Tls, Security::StartTls] {
        let receiver = SmtpReceiver::ok().await.unwrap();
        let (acceptor, _) = certificate();
        let (_, other_authority) = certificate();
        let addr = front(&receiver, acceptor, security == Security::StartTls).await;
        let channel = secure(addr, security, &other_authority);
        let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
        assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_tls"));
        assert!(error.message.contains("not from a trusted authority"), "{}", error.message);
        assert_eq!(receiver.count(), 0);
    }
}

#[tokio::test]
async fn a_server_that_does_not_offer_starttls_gets_no_mail() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let config = Config { security: Security::StartTls, ..config(receiver.addr()) };
    let channel = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap();
    let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_tls"));
    assert!(error.message.contains("does not offer STARTTLS"));
    assert_eq!(receiver.count(), 0);
}

fn signing_in(addr: SocketAddr) -> EmailChannel {
    let credentials = Some(("user".to_owned(), "hunter2".to_owned()));
    EmailChannel::new(Config { credentials, ..config(addr) }, Fixed::hello(), resolver()).unwrap()
}

#[tokio::test]
async fn the_channel_authenticates_before_the_first_mail() {
    let conversation = vec![
        ("", "220 auth\r\n"),
        ("EHLO", "250-auth\r\n250 AUTH LOGIN PLAIN\r\n"),
        // NUL user NUL hunter2
        ("AUTH PLAIN AHVzZXIAaHVudGVyMg==\r\n", "235 2.7.0 welcome\r\n"),
        ("MAIL", "250 ok\r\n"),
        ("RCPT", "250 ok\r\n"),
        ("DATA", "354 go\r\n"),
        (".\r\n", "250 ok\r\n"),
    ];
    let channel = signing_in(line_server(conversation).await);
    send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap();
}

#[tokio::test]
async fn wrong_credentials_are_retried() {
    let refusing = |offer: &'static str| {
        vec![("", "220 auth\r\n"), ("EHLO", offer), ("AUTH", "535 5.7.8 user hunter2 unknown\r\n")]
    };
    let offers = ["250-auth\r\n250 AUTH PLAIN\r\n", "250 auth\r\n"];
    for offer in offers {
        let channel = signing_in(line_server(refusing(offer)).await);
        let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
        assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_auth"), "{offer}");
        assert!(!error.maybe_accepted);
    }
    let wants = vec![
        ("", "220 auth\r\n"),
        ("EHLO", "250 auth\r\n"),
        ("MAIL", "530 5.7.0 authentication required\r\n"),
        ("RSET", "250 ok\r\n"),
    ];
    let channel =
        EmailChannel::new(config(line_server(wants).await), Fixed::hello(), resolver()).unwrap();
    let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_auth"));
}

/// Case e14: `security` does not fit the port.
#[tokio::test]
async fn a_wrong_security_setting_is_named() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let (_, authority) = certificate();
    let channel = secure(receiver.addr(), Security::Tls, &authority);
    let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_tls"));
    assert!(error.message.contains("does not speak TLS from the start"), "{}", error.message);
    assert!(error.message.contains("set `security` to \"starttls\""), "{}", error.message);

    // The reverse: the server waits for the client's handshake and sends no greeting.
    let (acceptor, authority) = certificate();
    let addr = front(&receiver, acceptor, false).await;
    let config = Config {
        host: "localhost".into(),
        security: Security::StartTls,
        extra_roots_pem: vec![authority],
        command_timeout: std::time::Duration::from_millis(300),
        ..config(addr)
    };
    let channel = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap();
    let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_timeout"));
    assert!(error.message.contains("set `security` to \"tls\""), "{}", error.message);
}
