//! Opens connections: DNS, TCP and TLS.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Asker, Resolve};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::wire::Stream;
use super::{SmtpError, Step};
use crate::config::{Config, Error, Security};

/// Opens connections to one mail server.
pub(crate) struct Dialer {
    host: String,
    port: u16,
    resolver: Arc<dyn Resolve>,
    security: Security,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The name that EHLO gives, as RFC 5321 writes it.
    pub(super) hello: String,
    pub(super) credentials: Option<(String, String)>,
    pub(super) command_timeout: Duration,
    pub(super) message_timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(config: &Config, resolver: Arc<dyn Resolve>) -> Result<Self, Error> {
        let roots = certificates(&config.extra_roots_pem)?;
        let tls = match config.security {
            Security::None => None,
            Security::StartTls | Security::Tls => Some((connector(roots)?, name(&config.host)?)),
        };
        let hello = config.hello_name.clone();
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            resolver,
            security: config.security,
            tls,
            hello: literal(hello.unwrap_or_else(own_name)),
            credentials: config.credentials.clone(),
            command_timeout: config.command_timeout,
            message_timeout: config.message_timeout,
        })
    }

    /// Whether TLS begins after STARTTLS.
    pub(super) fn uses_starttls(&self) -> bool {
        self.security == Security::StartTls
    }

    /// A connected stream. It has TLS already, unless STARTTLS is used.
    pub(super) async fn dial(&self) -> Result<Box<dyn Stream>, SmtpError> {
        let stream = self.connect().await?;
        // A message is written at once. Nagle's algorithm would delay its last segment.
        stream.set_nodelay(true).map_err(SmtpError::Connect)?;
        let stream: Box<dyn Stream> = Box::new(stream);
        if self.security == Security::Tls { self.protect(stream).await } else { Ok(stream) }
    }

    /// Makes the TLS handshake.
    pub(super) async fn protect(
        &self,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, SmtpError> {
        let Some((connector, name)) = &self.tls else { return Ok(stream) };
        let handshake = connector.connect(name.clone(), stream);
        match tokio::time::timeout(self.command_timeout, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(SmtpError::Tls(self.explain(&error))),
            Err(_) => Err(SmtpError::Timeout(Step::Tls)),
        }
    }

    /// Why the handshake failed, and what to do.
    fn explain(&self, error: &io::Error) -> String {
        let found = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let reason = found.map(fanfare_tls::explain);
        match reason {
            Some(reason) if reason == fanfare_tls::NOT_TLS && self.security == Security::Tls => {
                format!(
                    "port {} does not speak TLS from the start; set `security` to \"starttls\", or \
                     use another port (465)",
                    self.port
                )
            }
            Some(reason) => reason.to_owned(),
            None => format!("the handshake failed: {error}"),
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

fn connector(roots: Vec<CertificateDer<'static>>) -> Result<TlsConnector, Error> {
    let config = fanfare_tls::client_config(roots, false).map_err(|error| {
        Error::new("security", format!("requires TLS, which cannot be set up: {error}"))
    })?;
    Ok(TlsConnector::from(Arc::new(config)))
}

fn name(host: &str) -> Result<ServerName<'static>, Error> {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(host).map_err(|_| {
        Error::new("host", "must be a host name or an IP address, to verify the certificate")
    })
}

/// The machine's host name.
fn own_name() -> String {
    let name = hostname::get().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// RFC 5321, section 4.1.3: an address in the place of a name stands in brackets.
fn literal(name: String) -> String {
    match name.parse() {
        Ok(IpAddr::V4(address)) => format!("[{address}]"),
        Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => name,
    }
}

fn certificates(pems: &[String]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut all = Vec::new();
    for pem in pems {
        all.extend(fanfare_tls::certificates(pem.as_bytes()).map_err(|_| {
            let message = "must hold certificates in PEM (`-----BEGIN CERTIFICATE-----`)";
            Error::new("extra_roots_pem", message)
        })?);
    }
    Ok(all)
}

impl fmt::Debug for Dialer {
    // It has a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("host", &self.host).finish_non_exhaustive()
    }
}
