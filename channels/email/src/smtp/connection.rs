//! One connection to the mail server, and one mail's exchange on it.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::Error as LettreError;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::response::Response;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use super::line::{Line, Next};
use super::{Dialer, Reply, SmtpError, Step};
use crate::compose::{Announcement, Outgoing};

/// Longest wait for the answer to a farewell.
const FAREWELL: Duration = Duration::from_secs(2);
/// A server that takes longer over a message gets none announced behind it: the next mail had better
/// wait for whichever connection is free first.
const QUICK: Duration = Duration::from_millis(250);

/// An open connection.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    dialer: Arc<Dialer>,
    /// RFC 2920: commands may be sent without waiting for each answer.
    pipelining: bool,
    /// RFC 1870: most bytes that the server takes.
    limit: Option<usize>,
    /// Whether every question was answered, so that the next answer is to the next question.
    in_sync: bool,
    /// Whether the answer to the last message came at once.
    quick: bool,
    /// The mail that was announced behind the last message. What the server says to that comes next.
    next: Option<Next>,
}

impl Connection {
    /// Dials, greets, encrypts, signs in.
    pub(super) async fn open(dialer: Arc<Dialer>) -> Result<Self, SmtpError> {
        let patience = dialer.command_timeout;
        let stream = dialer.dial().await?;
        let greeting = AsyncSmtpConnection::connect_with_transport(stream, &dialer.hello);
        let smtp = match timeout(patience, greeting).await {
            Ok(greeted) => greeted.map_err(|error| refused_or_lost(Step::Greeting, &error))?,
            Err(_) => return Err(SmtpError::Timeout(Step::Greeting)),
        };
        let mut connection = Self {
            smtp,
            dialer,
            pipelining: false,
            limit: None,
            in_sync: false,
            quick: false,
            next: None,
        };
        connection.encrypt().await?;
        connection.learn().await?;
        connection.sign_in().await?;
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

    /// Asks once more what the server can do: lettre keeps PIPELINING and SIZE to itself.
    async fn learn(&mut self) -> Result<(), SmtpError> {
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

    async fn sign_in(&mut self) -> Result<(), SmtpError> {
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

    /// Whether another mail may use this connection.
    pub(super) fn is_in_sync(&self) -> bool {
        self.in_sync
    }

    /// The mail that this connection is for from now on, if one was announced behind the last message.
    pub(super) fn take_next(&mut self) -> Option<Next> {
        self.next.take()
    }

    /// One mail, `announced` behind the one before it or not yet. Afterwards the connection is in sync,
    /// or must be dropped.
    pub(super) async fn deliver(
        &mut self,
        mail: &Outgoing,
        announced: bool,
        line: &Line,
    ) -> Result<Reply, SmtpError> {
        let size = mail.announcement.size;
        if let Some(limit) = self.limit.filter(|limit| size > *limit) {
            return Err(SmtpError::TooBig { size, limit });
        }
        // Until the last answer: whoever drops this future leaves the connection out of sync.
        self.in_sync = false;
        if let Err(error) = self.announce(&mail.announcement, announced).await {
            if matches!(&error, SmtpError::Refused(_, reply) if !reply.is_farewell()) {
                self.in_sync = self.reset(self.dialer.command_timeout).await;
            }
            return Err(error);
        }
        let may_announce = self.pipelining && self.quick;
        let next = may_announce.then(|| line.next(self.limit)).flatten();
        let commands = next.as_ref().map(|next| self.commands(&next.announcement));
        let began = Instant::now();
        let message = Group { mail, commands: commands.as_deref().unwrap_or_default() };
        let reply = self.ask(Step::Message, message).await?;
        self.quick = began.elapsed() < QUICK;
        if (300..400).contains(&reply.code) || reply.code < 200 {
            return Err(SmtpError::Protocol(Step::Message, reply.code));
        }
        (self.in_sync, self.next) = (true, next);
        if reply.code < 300 { Ok(reply) } else { Err(SmtpError::Refused(Step::Message, reply)) }
    }

    /// MAIL, RCPT and DATA, up to the server's go-ahead.
    async fn announce(&mut self, mail: &Announcement, announced: bool) -> Result<(), SmtpError> {
        if !self.pipelining {
            let [sender, recipient] = self.addresses(mail);
            accepted(Step::Sender, self.ask(Step::Sender, sender).await?)?;
            accepted(Step::Recipient, self.ask(Step::Recipient, recipient).await?)?;
            return go_ahead(self.ask(Step::Data, "DATA\r\n").await?);
        }
        let sender = if announced {
            self.answer(Step::Sender).await
        } else {
            let commands = self.commands(mail);
            self.ask(Step::Sender, commands).await
        };
        let sender = accepted(Step::Sender, sender?);
        let recipient = accepted(Step::Recipient, self.answer(Step::Recipient).await?);
        let data = self.answer(Step::Data).await?;
        let refusal = sender.and(recipient);
        if refusal.is_err() && data.code == 354 {
            // RFC 2920, section 3.1: DATA was taken though nobody is to have it; end it at once.
            self.ask(Step::Data, ".\r\n").await?;
        }
        refusal?;
        go_ahead(data)
    }

    fn addresses(&self, mail: &Announcement) -> [String; 2] {
        let size =
            if self.limit.is_some() { format!(" SIZE={}", mail.size) } else { String::new() };
        [format!("MAIL FROM:<{}>{size}\r\n", mail.from), format!("RCPT TO:<{}>\r\n", mail.to)]
    }

    /// An announcement in one go.
    fn commands(&self, mail: &Announcement) -> String {
        let [sender, recipient] = self.addresses(mail);
        format!("{sender}{recipient}DATA\r\n")
    }

    /// Clears the server's mind, and tells whether it is still there.
    pub(super) async fn reset(&mut self, patience: Duration) -> bool {
        let reset = timeout(patience, self.ask(Step::Reset, "RSET\r\n")).await;
        self.in_sync = matches!(reset, Ok(Ok(Reply { code: 250, .. })));
        self.in_sync
    }

    /// Says goodbye.
    pub(super) async fn quit(mut self) {
        let _ = timeout(FAREWELL, self.smtp.command("QUIT\r\n")).await;
    }

    /// Sends, and waits for one reply.
    async fn ask(&mut self, step: Step, text: impl Display) -> Result<Reply, SmtpError> {
        let patience = self.patience(step);
        any_reply(step, timeout(patience, self.smtp.command(text)).await)
    }

    /// Waits for one more reply.
    async fn answer(&mut self, step: Step) -> Result<Reply, SmtpError> {
        let patience = self.patience(step);
        any_reply(step, timeout(patience, self.smtp.read_response()).await)
    }

    fn patience(&self, step: Step) -> Duration {
        match step {
            Step::Message => self.dialer.message_timeout,
            _ => self.dialer.command_timeout,
        }
    }
}

/// A message, and the announcement of the next mail or nothing.
struct Group<'g> {
    mail: &'g Outgoing,
    commands: &'g str,
}

impl Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mail.fmt(f)?;
        f.write_str(self.commands)
    }
}

/// A reply of whatever kind, since a refusal leaves the connection usable; but 421 ends it.
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

/// lettre tells a refusal by its status; everything else means that no answer came.
fn refused_or_lost(step: Step, error: &LettreError) -> SmtpError {
    let Some(code) = error.status() else { return SmtpError::Lost(step) };
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    SmtpError::Refused(step, Reply { code: code.into(), text })
}

fn accepted(step: Step, reply: Reply) -> Result<(), SmtpError> {
    match reply.code {
        200..300 => Ok(()),
        300..400 => Err(SmtpError::Protocol(step, reply.code)),
        _ => Err(SmtpError::Refused(step, reply)),
    }
}

/// Nothing but 354 is a go-ahead. This is also where a stray reply from earlier would show, before
/// any message is sent: it would push an acceptance of the recipient into this place.
fn go_ahead(reply: Reply) -> Result<(), SmtpError> {
    match reply.code {
        354 => Ok(()),
        400.. => Err(SmtpError::Refused(Step::Data, reply)),
        code => Err(SmtpError::Protocol(Step::Data, code)),
    }
}
