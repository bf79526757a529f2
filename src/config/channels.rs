//! The sections of the settings that are about the channels.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Period;

/// `[webhook]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// `User-Agent` of every request.
    pub user_agent: String,
    /// Private or otherwise special networks that webhooks may reach.
    pub allowed_networks: Vec<ipnet::IpNet>,
    /// How much of a response to read, in bytes.
    pub answer_limit_bytes: usize,
    /// How long opening a connection may take.
    pub connect_timeout: Period,
    /// Maximum number of idle connections to keep for each host.
    pub idle_per_host: usize,
    /// PEM files with additional certificate authorities to trust.
    pub extra_roots: Vec<PathBuf>,
}

impl Default for Webhook {
    fn default() -> Self {
        let channel = fanfare_webhook::Config::default();
        Self {
            user_agent: channel.user_agent,
            allowed_networks: Vec::new(),
            answer_limit_bytes: channel.answer_limit_bytes,
            connect_timeout: Period(channel.connect_timeout),
            idle_per_host: channel.idle_per_host,
            extra_roots: Vec::new(),
        }
    }
}

/// `[email]`
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Email {
    /// Host name or IP address of the mail server.
    pub host: String,
    /// Port of the mail server.
    pub port: u16,
    /// Encryption of the connection.
    pub security: Security,
    /// User name for SMTP authentication. Needs `password` too.
    pub username: Option<String>,
    /// Password for SMTP authentication. Prefer `FANFARE_EMAIL_PASSWORD`.
    pub password: Option<String>,
    /// The envelope sender, and the `From` of destinations without their own.
    pub from: String,
    /// Domains that destinations may use in their own `From`. Empty: the domain of `from`.
    pub allowed_from_domains: Vec<String>,
    /// Where replies go, for destinations without their own address.
    pub reply_to: Option<String>,
    /// Name to send in EHLO.
    pub hello_name: Option<String>,
    /// Maximum number of connections.
    pub connections: usize,
    /// URL for one-click unsubscribe, with `{token}`.
    pub unsubscribe_url: Option<String>,
    /// DKIM signatures.
    pub dkim: Option<Dkim>,
    /// PEM files with additional certificate authorities to trust.
    pub extra_roots: Vec<PathBuf>,
}

impl Default for Email {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 587,
            security: Security::Starttls,
            username: None,
            password: None,
            from: "Fanfare <notifications@localhost>".to_owned(),
            allowed_from_domains: Vec::new(),
            reply_to: None,
            hello_name: None,
            connections: 8,
            unsubscribe_url: None,
            dkim: None,
            extra_roots: Vec::new(),
        }
    }
}

/// Encryption of the connection to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// No encryption.
    None,
    /// Upgraded by STARTTLS.
    Starttls,
    /// TLS from the first byte.
    Tls,
}

/// `[email.dkim]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dkim {
    /// The signing domain, `d=`.
    pub domain: String,
    /// The selector of the key in DNS, `s=`.
    pub selector: String,
    /// PEM file with the private key.
    pub key_file: PathBuf,
}

/// `[slack]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slack {
    /// Base URL of the Slack Web API.
    pub api_url: url::Url,
}

impl Default for Slack {
    fn default() -> Self {
        Self { api_url: fanfare_slack::Config::default().api_url }
    }
}
