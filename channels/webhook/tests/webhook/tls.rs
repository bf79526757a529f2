//! HTTPS with the operator's own certificate authority.

use std::sync::Arc;

use fanfare_contract::{Channel as _, Verdict};
use fanfare_receivers::HttpReceiver;
use fanfare_webhook::{Config, Error, WebhookChannel};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{SECRET, resolver, send, send_to};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

/// Starts an HTTPS server for `name` that answers every request with 204. Returns its port.
async fn serve(authority: &Authority, name: &str) -> u16 {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    serve_with(certificate.der().clone(), &key).await
}

/// The same with a certificate that signs itself and is one of an authority. Also returns it.
async fn serve_own(name: &str) -> (u16, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    (serve_with(certificate.der().clone(), &key).await, certificate.pem())
}

async fn serve_with(certificate: CertificateDer<'static>, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 8192]).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

fn channel(roots: &[&str]) -> WebhookChannel {
    let allowed_networks = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let extra_roots = roots.iter().map(|pem| pem.as_bytes().to_vec()).collect();
    let config = Config { allowed_networks, extra_roots, ..Config::default() };
    WebhookChannel::new(config, resolver()).unwrap()
}

#[tokio::test]
async fn an_extra_root_is_trusted() {
    let authority = authority();
    let port = serve(&authority, "localhost").await;
    // The server listens on 127.0.0.1 only. `localhost` can resolve to ::1 first, which is refused.
    let receipt = send_to(&channel(&[&authority.pem]), &format!("https://localhost:{port}/")).await;
    assert_eq!(receipt.unwrap().status, Some(204));
}

#[tokio::test]
async fn an_unknown_issuer_and_a_wrong_name_are_tls_failures_with_a_clear_message() {
    let authority = authority();
    let right = serve(&authority, "localhost").await;
    let wrong = serve(&authority, "other.example").await;
    for (roots, port, message) in [
        (vec![], right, "not from a trusted authority"),
        (vec![authority.pem.as_str()], wrong, "is for another name"),
    ] {
        let url = format!("https://localhost:{port}/token");
        let error = send_to(&channel(&roots), &url).await.unwrap_err();
        assert_eq!(error.verdict, Verdict::Retry { not_before: None });
        assert_eq!(error.code, "tls_failed");
        assert!(error.message.contains(message), "{error}");
        assert!(!error.maybe_accepted && !error.retry_at_once);
        assert!(!format!("{error:?}").contains("token"), "{error:?}");
    }
}

/// Case w8: a certificate as `openssl req -x509` makes it.
#[tokio::test]
async fn a_self_signed_certificate_works_as_trusted_root_and_is_explained_otherwise() {
    let (port, pem) = serve_own("localhost").await;
    let url = format!("https://localhost:{port}/");
    let receipt = send_to(&channel(&[&pem]), &url).await.unwrap();
    assert_eq!(receipt.status, Some(204));
    let error = send_to(&channel(&[]), &url).await.unwrap_err();
    assert_eq!(error.code, "tls_failed");
    assert!(error.message.contains("CA:TRUE") && error.message.contains("CA:FALSE"), "{error}");
}

#[tokio::test]
async fn a_destination_trusts_its_own_authority_and_no_other_destination_does() {
    let authority = authority();
    let port = serve(&authority, "localhost").await;
    let channel = channel(&[]);
    let url = format!("https://localhost:{port}/");
    let with = |ca: Option<&str>| json!({ "url": url, "secret": SECRET, "ca": ca });
    for _ in 0..2 {
        let receipt = send(&channel, &with(Some(&authority.pem))).await.unwrap();
        assert_eq!(receipt.status, Some(204));
    }
    for ca in [None, Some(self::authority().pem)] {
        let error = send(&channel, &with(ca.as_deref())).await.unwrap_err();
        assert_eq!(error.code, "tls_failed");
    }
    let refused = channel.prepare(with(Some("no PEM")).as_object().unwrap()).err().unwrap();
    assert_eq!(refused[0].field, "ca");
    assert!(refused[0].message.contains("BEGIN CERTIFICATE"), "{refused:?}");
}

#[tokio::test]
async fn a_port_without_tls_is_named() {
    let plain = HttpReceiver::ok().await.unwrap();
    let url = plain.url("/").replace("http://127.0.0.1", "https://localhost");
    let error = send_to(&channel(&[]), &url).await.unwrap_err();
    assert_eq!(error.code, "tls_failed");
    assert!(error.message.contains("this port does not speak TLS"), "{error}");
}

#[test]
fn an_extra_root_that_is_no_certificate_is_refused_at_startup() {
    for pem in ["", "not a certificate"] {
        let extra_roots = vec![pem.as_bytes().to_vec()];
        let made = WebhookChannel::new(Config { extra_roots, ..Config::default() }, resolver());
        assert!(matches!(made, Err(Error::Certificate { nth: 0, .. })), "{made:?}");
    }
}
