//! An ESMTP receiver that takes mail as told, well or badly.
//!
//! It knows EHLO (SIZE, 8BITMIME, PIPELINING, SMTPUTF8), HELO, MAIL, RCPT, DATA, RSET, NOOP, VRFY and
//! QUIT. At each [`Stage`] the script decides the answer; what was taken is kept as [`Mail`], with
//! the dots unstuffed. A message ends at `CRLF.CRLF` and at nothing looser, so that a sender which
//! lets a bare `LF.LF` through is seen.

use std::fmt::{self, Write as _};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter,
};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Largest message taken, as announced with SIZE.
pub const LARGEST_MESSAGE: usize = 32 * 1024 * 1024;
/// Longest command line taken; RFC 5321 asks for 512 at least.
const LONGEST_LINE: u64 = 8 * 1024;

/// One message as it was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    /// When its last line was read.
    pub at: Instant,
    /// The envelope's sender, without the angle brackets.
    pub from: String,
    /// The envelope's recipients that were not refused.
    pub to: Vec<String>,
    /// The message, dots unstuffed, without the closing dot.
    pub data: Bytes,
}

/// Where in the conversation the script is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A client has connected; the argument is its address.
    Greeting,
    /// `MAIL FROM`; the argument is the sender.
    Mail,
    /// `RCPT TO`; the argument is the recipient.
    Rcpt,
    /// After the final dot; the argument is the recipients, joined with commas.
    Data,
}

/// What to do at a stage.
#[derive(Clone, Debug)]
pub enum SmtpReply {
    /// Take it.
    Ok,
    /// This code and text; lines of the text become lines of the reply.
    Code(u16, String),
    /// Never answer; the connection stays open. At [`Stage::Data`] the mail counts as taken.
    HangAfterData,
    /// End the connection instead of answering. At [`Stage::Data`] the mail counts as taken.
    CloseAfterData,
    /// Wait, then do the other.
    After(Duration, Box<SmtpReply>),
}

type Script = dyn Fn(Stage, &str, usize) -> SmtpReply + Send + Sync;

/// A running receiver; dropping it closes its port and every connection.
pub struct SmtpReceiver {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl SmtpReceiver {
    /// Listens on a free port; `script` is asked at each stage, with the stage's argument and how
    /// often it was asked at this stage before.
    pub async fn start(
        script: impl Fn(Stage, &str, usize) -> SmtpReply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::listen(Box::new(script), Some(Mutex::default())).await
    }

    /// Takes everything.
    pub async fn ok() -> io::Result<Self> {
        Self::start(|_, _, _| SmtpReply::Ok).await
    }

    /// Takes everything and keeps nothing but the count: for load.
    pub async fn counting() -> io::Result<Self> {
        Self::listen(Box::new(|_, _, _| SmtpReply::Ok), None).await
    }

    async fn listen(script: Box<Script>, kept: Option<Mutex<Vec<Mail>>>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script,
            asked: Default::default(),
            kept,
            count: watch::Sender::new(0),
            open: Arc::new(()),
            total: AtomicUsize::new(0),
        });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(
            listener,
            Arc::clone(&shared),
            stop.clone(),
        )));
        Ok(Self { addr, shared, _stop: stop.drop_guard() })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every mail so far, in the order they were taken.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.kept.as_ref().map(|kept| lock(kept).clone()).unwrap_or_default()
    }

    /// How many mails so far.
    pub fn count(&self) -> usize {
        *self.shared.count.borrow()
    }

    /// How many connections are open now.
    pub fn connections_open(&self) -> usize {
        Arc::strong_count(&self.shared.open) - 1
    }

    /// How many connections were accepted so far.
    pub fn connections_total(&self) -> usize {
        self.shared.total.load(Ordering::Relaxed)
    }

    /// Waits for the `n`th mail and returns all that came.
    ///
    /// # Panics
    /// When fewer than `n` came `within` the time.
    pub async fn wait_for(&self, n: usize, within: Duration) -> Vec<Mail> {
        let mut count = self.shared.count.subscribe();
        let enough =
            tokio::time::timeout(within, count.wait_for(|count| *count >= n)).await.is_ok();
        assert!(
            enough,
            "the receiver at {} waited {within:?} for {n} mails and got {}",
            self.addr,
            self.count()
        );
        self.mails()
    }
}

impl fmt::Debug for SmtpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpReceiver")
            .field("addr", &self.addr)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

struct Shared {
    script: Box<Script>,
    /// How often the script was asked, by stage.
    asked: [AtomicUsize; 4],
    /// `None` when mails are counted only.
    kept: Option<Mutex<Vec<Mail>>>,
    count: watch::Sender<usize>,
    /// Every open connection holds a clone.
    open: Arc<()>,
    total: AtomicUsize,
}

impl Shared {
    fn ask(&self, stage: Stage, argument: &str) -> SmtpReply {
        let nth = self.asked[stage as usize].fetch_add(1, Ordering::Relaxed);
        (self.script)(stage, argument, nth)
    }

    fn keep(&self, mail: Mail) {
        // Kept before it is counted, and both under the lock: who waits for the count finds it.
        let kept = self.kept.as_ref().map(|kept| {
            let mut kept = lock(kept);
            kept.push(mail);
            kept
        });
        self.count.send_modify(|count| *count += 1);
        drop(kept);
    }
}

fn lock(kept: &Mutex<Vec<Mail>>) -> MutexGuard<'_, Vec<Mail>> {
    // A script that panics does so outside the lock; the list is whole in any case.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        // An error here is about one connection (it ended before it was accepted) or about a
        // shortage of descriptors; a short wait and the next accept is the right answer to both.
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        shared.total.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(stream, Arc::clone(&shared));
        let conversation = async move {
            // An error is the client's leaving, which it may do at any time.
            let _ = session.run(peer).await;
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(conversation));
    }
}

/// Whether the conversation goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    End,
}

/// One client's conversation.
struct Session {
    shared: Arc<Shared>,
    _open: Arc<()>,
    reader: BufReader<OwnedReadHalf>,
    writer: BufWriter<OwnedWriteHalf>,
    from: Option<String>,
    to: Vec<String>,
}

impl Session {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        Self {
            _open: Arc::clone(&shared.open),
            shared,
            reader: BufReader::new(reader),
            writer: BufWriter::new(writer),
            from: None,
            to: Vec::new(),
        }
    }

    async fn run(mut self, peer: SocketAddr) -> io::Result<()> {
        let reply = self.shared.ask(Stage::Greeting, &peer.to_string());
        let greeted = self.obey(reply, (220, "testkit ESMTP")).await?;
        if greeted != Some(true) {
            return self.writer.flush().await;
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut self.reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
            if read == 0 || !line.ends_with(b"\n") {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if self.command(&text).await? == Flow::End {
                return self.writer.flush().await;
            }
        }
    }

    async fn command(&mut self, line: &str) -> io::Result<Flow> {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.reset();
                let offer = format!(
                    "testkit\nSIZE {LARGEST_MESSAGE}\n8BITMIME\nPIPELINING\nENHANCEDSTATUSCODES\nSMTPUTF8"
                );
                self.say(250, &offer).await
            }
            "HELO" => self.say(250, "testkit").await,
            "MAIL" => self.mail(argument).await,
            "RCPT" => self.rcpt(argument).await,
            "DATA" => self.data().await,
            "RSET" => {
                self.reset();
                self.say(250, "2.0.0 Ok").await
            }
            "NOOP" => self.say(250, "2.0.0 Ok").await,
            "VRFY" => self.say(252, "2.0.0 Send some mail and see").await,
            "QUIT" => {
                self.say(221, "2.0.0 Bye").await?;
                Ok(Flow::End)
            }
            _ => self.say(502, "5.5.2 Command not known").await,
        }
    }

    async fn mail(&mut self, argument: &str) -> io::Result<Flow> {
        let Some((from, parameters)) = path(argument, "FROM:") else {
            return self.say(501, "5.5.4 Syntax: MAIL FROM:<address>").await;
        };
        if self.from.is_some() {
            return self.say(503, "5.5.1 Nested MAIL command").await;
        }
        let size = parameters.split(' ').find_map(|word| word.strip_prefix("SIZE="));
        if size.and_then(|size| size.parse().ok()).is_some_and(|size: usize| size > LARGEST_MESSAGE)
        {
            return self.say(552, "5.3.4 Message too big").await;
        }
        let reply = self.shared.ask(Stage::Mail, from);
        let taken = self.obey(reply, (250, "2.1.0 Ok")).await?;
        if taken == Some(true) {
            self.from = Some(from.to_owned());
        }
        Ok(flow(taken))
    }

    async fn rcpt(&mut self, argument: &str) -> io::Result<Flow> {
        let Some((to, _)) = path(argument, "TO:").filter(|(to, _)| !to.is_empty()) else {
            return self.say(501, "5.5.4 Syntax: RCPT TO:<address>").await;
        };
        if self.from.is_none() {
            return self.say(503, "5.5.1 MAIL first").await;
        }
        let reply = self.shared.ask(Stage::Rcpt, to);
        let taken = self.obey(reply, (250, "2.1.5 Ok")).await?;
        if taken == Some(true) {
            self.to.push(to.to_owned());
        }
        Ok(flow(taken))
    }

    async fn data(&mut self) -> io::Result<Flow> {
        if self.to.is_empty() {
            return self.say(554, "5.5.1 No valid recipients").await;
        }
        self.say(354, "End data with <CR><LF>.<CR><LF>").await?;
        let Some(data) = self.read_message().await? else {
            self.reset();
            return self.say(552, "5.3.4 Message too big").await;
        };
        let reply = self.shared.ask(Stage::Data, &self.to.join(","));
        // The wait comes before the mail counts as taken, as with a real server that works on it.
        let reply = self.sit_out(reply).await?;
        let from = self.from.take().unwrap_or_default();
        let to = std::mem::take(&mut self.to);
        if !matches!(reply, SmtpReply::Code(300.., _)) {
            self.shared.keep(Mail { at: Instant::now(), from, to, data });
        }
        let queued = format!("2.0.0 Ok: queued as T{}", *self.shared.count.borrow());
        Ok(flow(self.obey(reply, (250, &queued)).await?))
    }

    /// Reads to the closing dot; `None` when there was too much of it.
    async fn read_message(&mut self) -> io::Result<Option<Bytes>> {
        let mut message = Vec::new();
        let mut too_big = false;
        // A line truly begins only after CRLF; a lone LF is part of a line.
        let mut at_line_start = true;
        loop {
            let start = message.len();
            if self.reader.read_until(b'\n', &mut message).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if at_line_start && message[start..] == *b".\r\n" {
                message.truncate(start);
                return Ok((!too_big).then(|| message.into()));
            }
            let dotted = at_line_start && message[start] == b'.';
            at_line_start = message.ends_with(b"\r\n");
            if dotted {
                message.remove(start);
            }
            if message.len() > LARGEST_MESSAGE {
                too_big = true;
                message.clear();
            }
        }
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    /// Does what the script said: `Some(true)` if it was taken, `None` if the conversation is over.
    async fn obey(&mut self, reply: SmtpReply, ok: (u16, &str)) -> io::Result<Option<bool>> {
        match self.sit_out(reply).await? {
            SmtpReply::Code(code, text) => {
                self.say(code, &text).await?;
                Ok((code != 421).then_some(code < 400))
            }
            SmtpReply::CloseAfterData => Ok(None),
            SmtpReply::HangAfterData => {
                self.writer.flush().await?;
                tokio::io::copy_buf(&mut self.reader, &mut tokio::io::sink()).await?;
                Ok(None)
            }
            SmtpReply::Ok | SmtpReply::After(..) => {
                self.say(ok.0, ok.1).await?;
                Ok(Some(true))
            }
        }
    }

    /// Waits as long as the script says, and returns what is to be done then.
    async fn sit_out(&mut self, mut reply: SmtpReply) -> io::Result<SmtpReply> {
        while let SmtpReply::After(wait, then) = reply {
            self.writer.flush().await?;
            tokio::time::sleep(wait).await;
            reply = *then;
        }
        Ok(reply)
    }

    /// Sends a reply; replies to pipelined commands leave together.
    async fn say(&mut self, code: u16, text: &str) -> io::Result<Flow> {
        let (before, last) = text.trim_end().rsplit_once('\n').unwrap_or(("", text));
        let mut reply = String::with_capacity(text.len() + 8);
        for line in before.lines() {
            let _ = write!(reply, "{code}-{line}\r\n");
        }
        let _ = write!(reply, "{code} {last}\r\n");
        self.writer.write_all(reply.as_bytes()).await?;
        if !self.reader.buffer().contains(&b'\n') {
            self.writer.flush().await?;
        }
        Ok(Flow::On)
    }
}

fn flow(taken: Option<bool>) -> Flow {
    if taken.is_some() { Flow::On } else { Flow::End }
}

/// The address of `FROM:<address> PARAMETERS`, and the parameters.
fn path<'a>(argument: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let start = argument.get(..prefix.len())?;
    let rest = argument[prefix.len()..].trim_start();
    start.eq_ignore_ascii_case(prefix).then_some(())?;
    let (address, parameters) = rest.strip_prefix('<')?.rsplit_once('>')?;
    Some((address, parameters.trim_start()))
}
