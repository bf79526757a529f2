//! What the operator decides for all webhooks.

use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};

/// Settings of the channel, the same for every tenant.
#[derive(Clone, Debug)]
pub struct Config {
    /// Allows `http://`, and loopback and private addresses.
    pub development: bool,
    /// Networks that may be reached though they are special; never a metadata service.
    pub allowed_networks: Vec<IpNet>,
    /// `User-Agent` of every request.
    pub user_agent: String,
    /// How much of an answer is read before the connection is closed, in bytes.
    pub answer_limit_bytes: usize,
    /// How long one connection may take to be made, TLS included.
    pub connect_timeout: Duration,
    /// Idle connections kept to each host.
    pub idle_per_host: usize,
    /// Certificate authorities to trust besides the system's, each as PEM with one or several.
    pub extra_roots: Vec<Vec<u8>>,
}

/// The webhook documentation that this project implements promises this `User-Agent` to receivers, so
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
            let bundle: Vec<_> = CertificateDer::pem_slice_iter(pem)
                .collect::<Result<_, _>>()
                .map_err(|source| Error::Certificate { nth, source: Some(source) })?;
            if bundle.is_empty() {
                return Err(Error::Certificate { nth, source: None });
            }
            roots.extend(bundle);
        }
        Ok(roots)
    }
}

/// Why the channel cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of [`Config::extra_roots`] cannot be read.
    #[error("extra root certificate {nth} (counted from 0) is not a PEM certificate")]
    Certificate {
        /// Which one.
        nth: usize,
        /// What the parser says, when it found something at all.
        source: Option<pem::Error>,
    },
    /// [`Config::user_agent`] cannot be sent as a header.
    #[error("the user agent {0:?} has characters that a header cannot have; use visible ASCII")]
    UserAgent(String),
    /// TLS cannot be set up.
    #[error(
        "TLS cannot be set up; if no certificate authority is installed, add the `ca-certificates` package"
    )]
    Tls(#[source] rustls::Error),
}
