//! A connection to the mail server, and the exchange of one mail on it.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::wire::Wire;
use super::{Dialer, Reply, SmtpError, Step};
use crate::compose::Outgoing;

/// Longest wait for the reply to QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// An open connection.
pub(super) struct Connection {
    wire: Wire,
    dialer: Arc<Dialer>,
    offer: Offer,
    /// Whether every command has its reply, so that the next reply belongs to the next command.
    in_sync: bool,
}

/// What the server offers in its reply to EHLO.
#[derive(Debug, Default)]
struct Offer {
    starttls: bool,
    /// RFC 2920: commands can be sent without waiting for each reply.
    pipelining: bool,
    /// RFC 1870: the largest message that the server accepts, in bytes.
    limit: Option<usize>,
    auth: Option<Mechanism>,
}

/// A way to authenticate (RFC 4954).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Login,
}

impl Connection {
    /// Connects, reads the greeting, starts TLS and authenticates.
    pub(super) async fn open(dialer: Arc<Dialer>) -> Result<Self, SmtpError> {
        let wire = Wire::new(dialer.dial().await?);
        let mut connection = Self { wire, dialer, offer: Offer::default(), in_sync: false };
        accepted(Step::Greeting, connection.answer(Step::Greeting).await?)?;
        connection.hello().await?;
        if connection.dialer.uses_starttls() {
            connection = connection.encrypt().await?;
            connection.hello().await?;
        }
        connection.authenticate().await?;
        connection.in_sync = true;
        Ok(connection)
    }

    /// Introduces itself. A server that does not know EHLO is asked with HELO.
    async fn hello(&mut self) -> Result<(), SmtpError> {
        let name = self.dialer.hello.clone();
        let limit = self.dialer.command_timeout;
        let ask = async {
            self.wire.send(format!("EHLO {name}\r\n").as_bytes()).await?;
            self.wire.lines().await
        };
        let lines = read(Step::Hello, timeout(limit, ask).await)?;
        let reply = Reply::of_lines(&lines);
        if reply.code >= 500 {
            accepted(Step::Hello, self.ask(Step::Hello, format!("HELO {name}\r\n")).await?)?;
            self.offer = Offer::default();
            return Ok(());
        }
        accepted(Step::Hello, reply)?;
        self.offer = Offer::read(&lines);
        Ok(())
    }

    async fn encrypt(mut self) -> Result<Self, SmtpError> {
        if !self.offer.starttls {
            let reason = "it does not offer STARTTLS; set `security` to \"tls\" or \"none\", or use \
                          another port";
            return Err(SmtpError::Tls(reason.to_owned()));
        }
        accepted(Step::Tls, self.ask(Step::Tls, "STARTTLS\r\n").await?)?;
        let Self { wire, dialer, .. } = self;
        let stream = wire.into_stream().ok_or_else(|| {
            SmtpError::Tls("it sent data between STARTTLS and the handshake".to_owned())
        })?;
        let wire = Wire::new(dialer.protect(stream).await?);
        Ok(Self { wire, dialer, offer: Offer::default(), in_sync: false })
    }

    async fn authenticate(&mut self) -> Result<(), SmtpError> {
        let dialer = Arc::clone(&self.dialer);
        let Some((user, secret)) = &dialer.credentials else { return Ok(()) };
        let Some(mechanism) = self.offer.auth else {
            return Err(SmtpError::Auth("it offers neither AUTH PLAIN nor LOGIN".to_owned()));
        };
        let steps = match mechanism {
            Mechanism::Plain => {
                let both = STANDARD.encode(format!("\0{user}\0{secret}"));
                vec![format!("AUTH PLAIN {both}\r\n")]
            }
            Mechanism::Login => {
                let [user, secret] = [user, secret].map(|text| STANDARD.encode(text));
                vec!["AUTH LOGIN\r\n".to_owned(), format!("{user}\r\n"), format!("{secret}\r\n")]
            }
        };
        for (nth, step) in steps.iter().enumerate() {
            let reply = self.ask(Step::Auth, step).await?;
            let is_last = nth + 1 == steps.len();
            match reply.code {
                334 if !is_last => {}
                200..300 if is_last => {}
                400.. => return Err(SmtpError::Refused(Step::Auth, reply)),
                code => return Err(SmtpError::Protocol(Step::Auth, code)),
            }
        }
        Ok(())
    }

    /// Whether the connection can be reused.
    pub(super) fn is_in_sync(&self) -> bool {
        self.in_sync
    }

    /// Delivers one mail. Afterwards the connection is in sync, or it must be dropped.
    pub(super) async fn deliver(&mut self, mail: &Outgoing) -> Result<Reply, SmtpError> {
        if let Some(limit) = self.offer.limit.filter(|limit| mail.size > *limit) {
            return Err(SmtpError::TooBig { size: mail.size, limit });
        }
        // Until the last reply. If this future is dropped, the connection stays out of sync.
        self.in_sync = false;
        if let Err(error) = self.begin(mail).await {
            if matches!(&error, SmtpError::Refused(_, reply) if !reply.is_farewell()) {
                self.reset(self.dialer.command_timeout).await;
            }
            return Err(error);
        }
        let reply = self.ask(Step::Message, mail).await?;
        let outcome = accepted(Step::Message, reply);
        self.in_sync = !matches!(outcome, Err(SmtpError::Protocol(..)));
        outcome
    }

    /// MAIL, RCPT and DATA, up to the server's go-ahead.
    async fn begin(&mut self, mail: &Outgoing) -> Result<(), SmtpError> {
        let has_size = self.offer.limit.is_some();
        let size = if has_size { format!(" SIZE={}", mail.size) } else { String::new() };
        let sender = format!("MAIL FROM:<{}>{size}\r\n", mail.from);
        let recipient = format!("RCPT TO:<{}>\r\n", mail.to);
        if !self.offer.pipelining {
            accepted(Step::Sender, self.ask(Step::Sender, sender).await?)?;
            accepted(Step::Recipient, self.ask(Step::Recipient, recipient).await?)?;
            return go_ahead(self.ask(Step::Data, "DATA\r\n").await?);
        }
        let commands = format!("{sender}{recipient}DATA\r\n");
        let sender = accepted(Step::Sender, self.ask(Step::Sender, commands).await?);
        let recipient = accepted(Step::Recipient, self.answer(Step::Recipient).await?);
        let data = self.answer(Step::Data).await?;
        let refusal = sender.and(recipient);
        if refusal.is_err() && data.code == 354 {
            // RFC 2920, section 3.1: the server accepted DATA without a recipient. End it at once.
            self.ask(Step::Data, ".\r\n").await?;
        }
        refusal?;
        go_ahead(data)
    }

    /// Resets the server's state. Returns whether the connection is alive and in sync.
    pub(super) async fn reset(&mut self, limit: Duration) -> bool {
        let reset = timeout(limit, self.ask(Step::Reset, "RSET\r\n")).await;
        self.in_sync = matches!(reset, Ok(Ok(Reply { code: 250, .. })));
        self.in_sync
    }

    /// Ends the conversation.
    pub(super) async fn quit(mut self) {
        let _ = timeout(QUIT_TIMEOUT, self.ask(Step::Reset, "QUIT\r\n")).await;
    }

    /// Sends `text` and waits for one reply.
    async fn ask(&mut self, step: Step, text: impl Display) -> Result<Reply, SmtpError> {
        let (limit, text) = (self.time_limit(step), text.to_string());
        let ask = async {
            self.wire.send(text.as_bytes()).await?;
            self.wire.reply().await
        };
        any_reply(step, timeout(limit, ask).await)
    }

    /// Waits for one more reply.
    async fn answer(&mut self, step: Step) -> Result<Reply, SmtpError> {
        let limit = self.time_limit(step);
        any_reply(step, timeout(limit, self.wire.reply()).await)
    }

    fn time_limit(&self, step: Step) -> Duration {
        match step {
            Step::Message => self.dialer.message_timeout,
            _ => self.dialer.command_timeout,
        }
    }
}

impl Offer {
    fn read(lines: &[(u16, String)]) -> Self {
        let mut offer = Self::default();
        for (_, line) in lines {
            // Some servers write `AUTH=PLAIN` for clients that expect it.
            let line = line.to_ascii_uppercase().replace('=', " ");
            let mut words = line.split_whitespace();
            match words.next().unwrap_or_default() {
                "STARTTLS" => offer.starttls = true,
                "PIPELINING" => offer.pipelining = true,
                "SIZE" => {
                    offer.limit = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                }
                "AUTH" => {
                    let found = words.filter_map(|word| match word {
                        "PLAIN" => Some(Mechanism::Plain),
                        "LOGIN" => Some(Mechanism::Login),
                        _ => None,
                    });
                    for mechanism in found {
                        if offer.auth != Some(Mechanism::Plain) {
                            offer.auth = Some(mechanism);
                        }
                    }
                }
                _ => {}
            }
        }
        offer
    }
}

/// The reply, also if it is a refusal, which leaves the connection usable. A 421 is an error,
/// because it ends the connection.
fn any_reply(step: Step, outcome: Result<io::Result<Reply>, Elapsed>) -> Result<Reply, SmtpError> {
    let reply = read(step, outcome)?;
    if reply.is_farewell() { Err(SmtpError::Refused(step, reply)) } else { Ok(reply) }
}

fn read<T>(step: Step, outcome: Result<io::Result<T>, Elapsed>) -> Result<T, SmtpError> {
    match outcome {
        Err(_) => Err(SmtpError::Timeout(step)),
        Ok(Err(error)) => Err(SmtpError::Lost(step, error)),
        Ok(Ok(read)) => Ok(read),
    }
}

fn accepted(step: Step, reply: Reply) -> Result<Reply, SmtpError> {
    match reply.code {
        200..300 => Ok(reply),
        400.. => Err(SmtpError::Refused(step, reply)),
        code => Err(SmtpError::Protocol(step, code)),
    }
}

/// Only 354 is a go-ahead. A stray earlier reply is detected here too, before any message is sent:
/// the acceptance of the recipient would be read as the reply to DATA.
fn go_ahead(reply: Reply) -> Result<(), SmtpError> {
    match reply.code {
        354 => Ok(()),
        400.. => Err(SmtpError::Refused(Step::Data, reply)),
        code => Err(SmtpError::Protocol(Step::Data, code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_read_in_any_spelling() {
        let lines = ["mail.example", "size 1000", "AUTH=LOGIN", "auth CRAM-MD5 PLAIN LOGIN", ""];
        let lines: Vec<_> = lines.iter().map(|line| (250, (*line).to_owned())).collect();
        let offer = Offer::read(&lines);
        assert_eq!((offer.limit, offer.auth), (Some(1_000), Some(Mechanism::Plain)));
        assert!(!offer.starttls && !offer.pipelining);
        let lines = [(250, "STARTTLS".to_owned()), (250, "AUTH LOGIN".to_owned())];
        let offer = Offer::read(&lines);
        assert!(offer.starttls);
        assert_eq!(offer.auth, Some(Mechanism::Login));
    }
}
