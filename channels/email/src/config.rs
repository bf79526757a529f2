//! The operator's settings of the email channel, checked at startup.

use std::fmt;
use std::time::Duration;

use lettre::message::Mailbox;
use url::Url;

use crate::address;
use crate::senders::Senders;

/// The placeholder in [`Config::unsubscribe_url`].
pub(crate) const TOKEN: &str = "{token}";
/// Maximum value of [`Config::connections`].
const MAX_CONNECTIONS: usize = 1024;
/// Maximum length of the unsubscribe URL. Its header line must stay below SMTP's 998 bytes.
const LONGEST_URL: usize = 800;

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// No encryption.
    None,
    /// STARTTLS. A server that does not offer it gets no mail.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// The key that signs mail.
#[derive(Clone)]
pub struct DkimConfig {
    /// The signing domain, `d=`.
    pub domain: String,
    /// The key's name under `_domainkey` of the domain, `s=`.
    pub selector: String,
    /// RSA (PKCS#1 or PKCS#8) or Ed25519 (PKCS#8) private key.
    pub private_key_pem: String,
}

/// Settings of the channel.
#[derive(Clone)]
pub struct Config {
    /// The mail server's host name or address.
    pub host: String,
    /// Its port: 25 or 587 for STARTTLS, 465 for TLS.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// User and secret for SMTP AUTH.
    pub credentials: Option<(String, String)>,
    /// The default `From` of a mail, and always the envelope's sender: `Fanfare
    /// <notifications@localhost>`.
    pub from: String,
    /// The domains that a destination's own `From` may have: `acme.example`, `*.acme.example` for
    /// every name below it, or `*` for any. Empty: the domain of `from`.
    pub allowed_from_domains: Vec<String>,
    /// The default `Reply-To` of a mail.
    pub reply_to: Option<String>,
    /// The name in EHLO. The default is the machine's host name.
    pub hello_name: Option<String>,
    /// Maximum number of connections, 1 to 1024.
    pub connections: usize,
    /// Time limit for connecting and for the reply to each command.
    pub command_timeout: Duration,
    /// Time limit for sending the message and for its reply.
    pub message_timeout: Duration,
    /// An idle connection is closed after this time.
    pub idle_timeout: Duration,
    /// Signs every mail if set.
    pub dkim: Option<DkimConfig>,
    /// The URL for one-click unsubscribe (RFC 8058). `{token}` becomes the delivery's id, which
    /// identifies the destination and the recipient.
    pub unsubscribe_url: Option<String>,
    /// Allows credentials without TLS to another host, and an `http` unsubscribe URL.
    pub development: bool,
    /// Certificates to trust in addition to the system's, in PEM.
    pub extra_roots_pem: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 587,
            security: Security::default(),
            credentials: None,
            from: "Fanfare <notifications@localhost>".to_owned(),
            allowed_from_domains: Vec::new(),
            reply_to: None,
            hello_name: None,
            connections: 8,
            command_timeout: Duration::from_secs(30),
            message_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_mins(1),
            dkim: None,
            unsubscribe_url: None,
            development: false,
            extra_roots_pem: Vec::new(),
        }
    }
}

/// An invalid setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("email setting `{field}` {message}")]
pub struct Error {
    /// The field of [`Config`].
    pub field: &'static str,
    /// What is wrong and how to fix it.
    pub message: String,
}

impl Error {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

/// The parsed settings.
pub(crate) struct Parsed {
    pub(crate) from: Mailbox,
    pub(crate) senders: Senders,
    pub(crate) reply_to: Option<Mailbox>,
}

impl Config {
    /// Checks everything except keys and certificates.
    pub(crate) fn parse(&self) -> Result<Parsed, Error> {
        self.check_server()?;
        self.check_credentials()?;
        self.check_limits()?;
        self.check_unsubscribe_url()?;
        let mailbox = |field, text: &String| {
            let parsed =
                address::parse(text).and_then(|one| address::review_name(&one).map(|()| one));
            parsed.map_err(|message| Error::new(field, message))
        };
        let from = mailbox("from", &self.from)?;
        let senders = Senders::new(&self.allowed_from_domains, &from)
            .map_err(|message| Error::new("allowed_from_domains", message))?;
        Ok(Parsed {
            from,
            senders,
            reply_to: self.reply_to.as_ref().map(|text| mailbox("reply_to", text)).transpose()?,
        })
    }

    fn check_server(&self) -> Result<(), Error> {
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !plain(&self.host) || self.host.contains(['/', '@']) {
            return Err(Error::new("host", "must be a host name or an IP address"));
        }
        if self.port == 0 {
            return Err(Error::new("port", "must be from 1 to 65535"));
        }
        if self.hello_name.as_deref().is_some_and(|name| !plain(name)) {
            return Err(Error::new(
                "hello_name",
                "must be a host name; remove it to use the machine's",
            ));
        }
        Ok(())
    }

    fn check_credentials(&self) -> Result<(), Error> {
        let Some((user, secret)) = &self.credentials else { return Ok(()) };
        if user.is_empty() || secret.is_empty() {
            return Err(Error::new("credentials", "need both a user name and a password"));
        }
        let exposed = self.security == Security::None && !self.is_loopback() && !self.development;
        if exposed {
            let message = "would be sent unencrypted; set `security` to `starttls` or `tls`";
            return Err(Error::new("credentials", message));
        }
        Ok(())
    }

    pub(crate) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    fn check_limits(&self) -> Result<(), Error> {
        if !(1..=MAX_CONNECTIONS).contains(&self.connections) {
            return Err(Error::new("connections", format!("must be from 1 to {MAX_CONNECTIONS}")));
        }
        for (field, timeout) in [
            ("command_timeout", self.command_timeout),
            ("message_timeout", self.message_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            if timeout.is_zero() {
                return Err(Error::new(field, "must be longer than zero"));
            }
        }
        Ok(())
    }

    fn check_unsubscribe_url(&self) -> Result<(), Error> {
        let Some(url) = &self.unsubscribe_url else { return Ok(()) };
        let wrong = |message| Err(Error::new("unsubscribe_url", message));
        if !url.contains(TOKEN) {
            return wrong("must contain `{token}`, so that each recipient gets a separate link");
        }
        let fits = url.len() <= LONGEST_URL && url.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits || url.contains(['<', '>']) {
            return wrong(
                "must have at most 800 ASCII characters without spaces or angle brackets",
            );
        }
        match Url::parse(&url.replace(TOKEN, "token")) {
            Ok(url) if url.scheme() == "https" => Ok(()),
            Ok(url) if url.scheme() == "http" && self.development => Ok(()),
            Ok(_) => wrong("must use https, because mail programs refuse anything else (RFC 8058)"),
            Err(_) => wrong("is not a URL"),
        }
    }
}

impl fmt::Debug for Config {
    // The secret and the private key are never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("connections", &self.connections)
            .field("credentials", &self.credentials.is_some())
            .field("dkim", &self.dkim)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DkimConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DkimConfig")
            .field("domain", &self.domain)
            .field("selector", &self.selector)
            .finish_non_exhaustive()
    }
}
