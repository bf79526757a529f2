//! Opens connections: DNS, TCP and TLS.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_contract::{Asker, Resolve};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{AsyncTokioStream, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{SmtpError, Step};
use crate::config::{Config, Error, Security};

/// Opens connections to one mail server.
pub(crate) struct Dialer {
    host: String,
    port: u16,
    resolver: Arc<dyn Resolve>,
    protection: Protection,
    pub(super) hello: ClientId,
    pub(super) credentials: Option<Credentials>,
    pub(super) command_timeout: Duration,
    pub(super) message_timeout: Duration,
}

enum Protection {
    None,
    /// lettre does the handshake after STARTTLS.
    StartTls(TlsParameters),
    /// The handshake is done here, because lettre's own does not turn off Nagle's algorithm.
    Tls(TlsConnector, ServerName<'static>),
}

impl Dialer {
    pub(crate) fn new(config: &Config, resolver: Arc<dyn Resolve>) -> Result<Self, Error> {
        let roots = certificates(&config.extra_roots_pem)?;
        let protection = match config.security {
            Security::None => Protection::None,
            Security::StartTls => Protection::StartTls(starttls(&config.host, roots)?),
            Security::Tls => {
                let name = ServerName::try_from(config.host.clone()).map_err(|_| {
                    Error::new(
                        "host",
                        "must be a host name or an IP address, to verify the certificate",
                    )
                })?;
                Protection::Tls(TlsConnector::from(Arc::new(client_config(roots)?)), name)
            }
        };
        let hello = config.hello_name.clone().map_or_else(ClientId::default, hello_id);
        let credentials =
            config.credentials.clone().map(|(user, secret)| Credentials::new(user, secret));
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            resolver,
            protection,
            hello,
            credentials,
            command_timeout: config.command_timeout,
            message_timeout: config.message_timeout,
        })
    }

    /// The TLS parameters, if STARTTLS is used.
    pub(super) fn starttls(&self) -> Option<&TlsParameters> {
        match &self.protection {
            Protection::StartTls(parameters) => Some(parameters),
            _ => None,
        }
    }

    /// A connected stream. It has TLS already, unless STARTTLS is used.
    pub(super) async fn dial(&self) -> Result<Box<dyn AsyncTokioStream>, SmtpError> {
        let stream = self.connect().await?;
        // A message is written at once. Nagle's algorithm would delay its last segment.
        stream.set_nodelay(true).map_err(SmtpError::Connect)?;
        let Protection::Tls(connector, name) = &self.protection else {
            return Ok(Box::new(stream));
        };
        let handshake = connector.connect(name.clone(), stream);
        match tokio::time::timeout(self.command_timeout, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(TlsWire(stream))),
            Ok(Err(error)) => Err(SmtpError::Tls(error.to_string())),
            Err(_) => Err(SmtpError::Timeout(Step::Tls)),
        }
    }

    /// Tries the host's addresses in turn.
    async fn connect(&self) -> Result<TcpStream, SmtpError> {
        let timeout = self.command_timeout;
        let addresses = self.addresses().await.map_err(SmtpError::Dns)?;
        // A dead address must not use up the time of the others.
        let share = timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses.iter() {
            let connecting = TcpStream::connect((*address, self.port));
            match tokio::time::timeout(share, connecting).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(SmtpError::Connect(last))
    }

    async fn addresses(&self) -> io::Result<Arc<[IpAddr]>> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => Ok([address].into()),
            Err(_) => self.resolver.resolve(Asker::Operator, host).await,
        }
    }
}

fn hello_id(name: String) -> ClientId {
    match name.parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(name),
    }
}

fn starttls(host: &str, roots: Vec<CertificateDer<'static>>) -> Result<TlsParameters, Error> {
    let mut builder = TlsParameters::builder(host.to_owned());
    for root in roots {
        let certificate = Certificate::from_der(root.to_vec()).map_err(tls_failed)?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(tls_failed)
}

fn client_config(roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider));
    let verifier = Arc::new(verifier.map_err(tls_failed)?);
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls_failed)?
        .dangerous() // required for any verifier that is not from rustls itself
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn tls_failed(error: impl fmt::Display) -> Error {
    Error::new("security", format!("requires TLS, which cannot be set up: {error}"))
}

fn certificates(pems: &[String]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut all = Vec::new();
    for pem in pems {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        all.extend(found.ok().filter(|found| !found.is_empty()).ok_or_else(|| {
            let message = "must hold certificates in PEM (`-----BEGIN CERTIFICATE-----`)";
            Error::new("extra_roots_pem", message)
        })?);
    }
    Ok(all)
}

/// A TLS stream for lettre.
struct TlsWire(TlsStream<TcpStream>);

impl fmt::Debug for TlsWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsWire")
    }
}

impl AsyncTokioStream for TlsWire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for TlsWire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TlsWire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
