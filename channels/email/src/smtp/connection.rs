//! A connection to the mail server, and the exchange of one mail on it.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::Error as LettreError;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::response::Response;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::{Dialer, Reply, SmtpError, Step};
use crate::compose::Outgoing;

/// Longest wait for the reply to QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// An open connection.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    dialer: Arc<Dialer>,
    /// RFC 2920: commands can be sent without waiting for each reply.
    pipelining: bool,
    /// RFC 1870: the largest message that the server accepts, in bytes.
    limit: Option<usize>,
    /// Whether every command has its reply, so that the next reply belongs to the next command.
    in_sync: bool,
}

impl Connection {
    /// Connects, reads the greeting, starts TLS and authenticates.
    pub(super) async fn open(dialer: Arc<Dialer>) -> Result<Self, SmtpError> {
        let command_timeout = dialer.command_timeout;
        let stream = dialer.dial().await?;
        let greeting = AsyncSmtpConnection::connect_with_transport(stream, &dialer.hello);
        let smtp = match timeout(command_timeout, greeting).await {
            Ok(greeted) => greeted.map_err(|error| refused_or_lost(Step::Greeting, &error))?,
            Err(_) => return Err(SmtpError::Timeout(Step::Greeting)),
        };
        let mut connection = Self { smtp, dialer, pipelining: false, limit: None, in_sync: false };
        connection.encrypt().await?;
        connection.read_extensions().await?;
        connection.authenticate().await?;
        connection.in_sync = true;
        Ok(connection)
    }

    async fn encrypt(&mut self) -> Result<(), SmtpError> {
        let dialer = Arc::clone(&self.dialer);
        let Some(parameters) = dialer.starttls() else { return Ok(()) };
        if !self.smtp.can_starttls() {
            return Err(SmtpError::Tls("it does not offer STARTTLS".to_owned()));
        }
        let upgrade = self.smtp.starttls(parameters.clone(), &dialer.hello);
        match timeout(dialer.command_timeout, upgrade).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.status().is_some() => Err(refused_or_lost(Step::Tls, &error)),
            Ok(Err(error)) => Err(SmtpError::Tls(error.to_string())),
            Err(_) => Err(SmtpError::Timeout(Step::Tls)),
        }
    }

    /// Asks again for the server's extensions, because lettre does not expose PIPELINING and SIZE.
    async fn read_extensions(&mut self) -> Result<(), SmtpError> {
        let hello = format!("EHLO {}\r\n", self.dialer.hello);
        let offer = timeout(self.dialer.command_timeout, self.smtp.command(hello)).await;
        let offer = offer.map_err(|_| SmtpError::Timeout(Step::Hello))?;
        let offer = offer.map_err(|error| refused_or_lost(Step::Hello, &error))?;
        for line in offer.message() {
            let mut words = line.split_whitespace();
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => self.pipelining = true,
                "SIZE" => self.limit = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0),
                _ => {}
            }
        }
        Ok(())
    }

    async fn authenticate(&mut self) -> Result<(), SmtpError> {
        let dialer = Arc::clone(&self.dialer);
        let Some(credentials) = &dialer.credentials else { return Ok(()) };
        let known = [Mechanism::Plain, Mechanism::Login];
        if self.smtp.server_info().get_auth_mechanism(&known).is_none() {
            return Err(SmtpError::Auth("it offers neither AUTH PLAIN nor LOGIN".to_owned()));
        }
        match timeout(dialer.command_timeout, self.smtp.auth(&known, credentials)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused_or_lost(Step::Auth, &error)),
            Err(_) => Err(SmtpError::Timeout(Step::Auth)),
        }
    }

    /// Whether the connection can be reused.
    pub(super) fn is_in_sync(&self) -> bool {
        self.in_sync
    }

    /// Delivers one mail. Afterwards the connection is in sync, or it must be dropped.
    pub(super) async fn deliver(&mut self, mail: &Outgoing) -> Result<Reply, SmtpError> {
        if let Some(limit) = self.limit.filter(|limit| mail.size > *limit) {
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
        let size =
            if self.limit.is_some() { format!(" SIZE={}", mail.size) } else { String::new() };
        let sender = format!("MAIL FROM:<{}>{size}\r\n", mail.from);
        let recipient = format!("RCPT TO:<{}>\r\n", mail.to);
        if !self.pipelining {
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
        let _ = timeout(QUIT_TIMEOUT, self.smtp.command("QUIT\r\n")).await;
    }

    /// Sends `text` and waits for one reply.
    async fn ask(&mut self, step: Step, text: impl Display) -> Result<Reply, SmtpError> {
        let limit = self.time_limit(step);
        any_reply(step, timeout(limit, self.smtp.command(text)).await)
    }

    /// Waits for one more reply.
    async fn answer(&mut self, step: Step) -> Result<Reply, SmtpError> {
        let limit = self.time_limit(step);
        any_reply(step, timeout(limit, self.smtp.read_response()).await)
    }

    fn time_limit(&self, step: Step) -> Duration {
        match step {
            Step::Message => self.dialer.message_timeout,
            _ => self.dialer.command_timeout,
        }
    }
}

/// The reply, also if it is a refusal, which leaves the connection usable. A 421 is an error,
/// because it ends the connection.
fn any_reply(
    step: Step,
    outcome: Result<Result<Response, LettreError>, Elapsed>,
) -> Result<Reply, SmtpError> {
    match outcome {
        Err(_) => Err(SmtpError::Timeout(step)),
        Ok(Ok(response)) => {
            let text: Vec<&str> = response.message().collect();
            Ok(Reply { code: response.code().into(), text: text.join(" ") })
        }
        Ok(Err(error)) => match refused_or_lost(step, &error) {
            SmtpError::Refused(_, reply) if !reply.is_farewell() => Ok(reply),
            error => Err(error),
        },
    }
}

/// A lettre error with a status is a refusal. Any other error means that there is no reply.
fn refused_or_lost(step: Step, error: &LettreError) -> SmtpError {
    let Some(code) = error.status() else { return SmtpError::Lost(step) };
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    SmtpError::Refused(step, Reply { code: code.into(), text })
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
