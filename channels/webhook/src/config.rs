//! The operator's settings for all webhooks.

use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem;

/// The channel's settings, which are the same for every tenant.
#[derive(Clone, Debug)]
pub struct Config {
    /// Allows `http://` URLs, and loopback and private addresses.
    pub development: bool,
    /// Special networks that webhooks can reach anyway. Never opens a metadata service.
    pub allowed_networks: Vec<IpNet>,
    /// The `User-Agent` of every request.
    pub user_agent: String,
    /// Maximum bytes to read of an answer. After that the connection is closed.
    pub answer_limit_bytes: usize,
    /// Time limit for a new connection: DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Maximum idle connections to each host.
    pub idle_per_host: usize,
    /// Certificate authorities to trust in addition to the system's. Each entry is a PEM bundle.
    pub extra_roots: Vec<Vec<u8>>,
}

/// The webhook documentation that this project implements promises receivers this `User-Agent`, so
/// the default must not change. See docs/decisions/0011-two-webhook-header-sets.md.
const USER_AGENT: &str = "KYC-Webhooks/1.0";

impl Default for Config {
    fn default() -> Self {
        Self {
            development: false,
            allowed_networks: Vec::new(),
            user_agent: USER_AGENT.to_owned(),
            answer_limit_bytes: 64 * 1024,
            connect_timeout: Duration::from_secs(5),
            idle_per_host: 1024,
            extra_roots: Vec::new(),
        }
    }
}

impl Config {
    pub(crate) fn roots(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let mut roots = Vec::new();
        for (nth, pem) in self.extra_roots.iter().enumerate() {
            let bundle = fanfare_tls::certificates(pem);
            roots.extend(bundle.map_err(|source| Error::Certificate { nth, source })?);
        }
        Ok(roots)
    }
}

/// Why the channel cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of [`Config::extra_roots`] cannot be read.
    #[error("extra root {nth} (counted from 0) holds no certificate in PEM; check the file")]
    Certificate {
        /// Its index in the list.
        nth: usize,
        /// The parser's error. `None` if the PEM holds no certificate.
        source: Option<pem::Error>,
    },
    /// [`Config::user_agent`] is not a valid header value.
    #[error(
        "the user agent {0:?} has characters that are not allowed in a header; use visible ASCII"
    )]
    UserAgent(String),
    /// TLS setup failed.
    #[error(
        "TLS setup failed; if the system has no certificate authorities, install `ca-certificates`"
    )]
    Tls(#[source] rustls::Error),
}
