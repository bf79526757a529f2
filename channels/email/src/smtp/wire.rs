//! One connection to a mail server: commands go out, replies come in.
//!
//! A reply counts by its code. Its text may be missing, although RFC 5321, section 4.2 wants it,
//! and it may be in any encoding. lettre takes both for a broken connection, so it only composes
//! messages here, and the conversation is Fanfare's own.

use std::io;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

use super::Reply;

/// Longest line of a reply in bytes. RFC 5321 allows 512.
const LINE_MAX: u64 = 4 * 1024;
/// Most lines of a reply.
const LINES_MAX: usize = 256;

/// A connected stream, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection.
pub(super) struct Wire {
    stream: BufReader<Box<dyn Stream>>,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// The stream, for a TLS handshake. `None` if the server has sent something that was not read:
    /// it would be taken for a part of the protected conversation.
    pub(super) fn into_stream(self) -> Option<Box<dyn Stream>> {
        self.stream.buffer().is_empty().then(|| self.stream.into_inner())
    }

    pub(super) async fn send(&mut self, text: &[u8]) -> io::Result<()> {
        self.stream.write_all(text).await?;
        self.stream.flush().await
    }

    /// Reads one reply.
    pub(super) async fn reply(&mut self) -> io::Result<Reply> {
        Ok(Reply::of_lines(&self.lines().await?))
    }

    /// Reads one reply as its lines: each with its code and its text.
    pub(super) async fn lines(&mut self) -> io::Result<Vec<(u16, String)>> {
        let mut lines: Vec<(u16, String)> = Vec::new();
        let mut bytes = Vec::new();
        while lines.len() < LINES_MAX {
            bytes.clear();
            (&mut self.stream).take(LINE_MAX).read_until(b'\n', &mut bytes).await?;
            if bytes.last() != Some(&b'\n') {
                return Err(if bytes.len() as u64 == LINE_MAX {
                    unreadable("a line of the reply is too long")
                } else {
                    io::ErrorKind::UnexpectedEof.into()
                });
            }
            let line = parse(&bytes);
            let code = line.code.or(lines.last().map(|(code, _)| *code));
            let code = code.ok_or_else(|| unreadable("the reply has no code"))?;
            lines.push((code, line.text));
            if !line.continues {
                return Ok(lines);
            }
        }
        Err(unreadable("the reply has too many lines"))
    }
}

fn unreadable(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// One line of a reply.
struct Line {
    /// `None` for a line without one, which continues the line before.
    code: Option<u16>,
    continues: bool,
    text: String,
}

fn parse(line: &[u8]) -> Line {
    let line = line.trim_ascii_end();
    let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let code = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let Some(code) = code else {
        let text = String::from_utf8_lossy(line).into_owned();
        return Line { code: None, continues: true, text };
    };
    let text = String::from_utf8_lossy(line.get(4..).unwrap_or_default()).into_owned();
    Line { code: Some(code), continues: line.get(3) == Some(&b'-'), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> io::Result<Reply> {
        Wire::new(Box::new(tokio::io::join(io::Cursor::new(bytes.to_vec()), tokio::io::sink())))
            .reply()
            .await
    }

    #[tokio::test]
    async fn a_reply_counts_by_its_code() {
        for (bytes, code, text) in [
            (&b"250 Ok: queued as 4F1B2C\r\n"[..], 250, "Ok: queued as 4F1B2C"),
            (b"250\r\n", 250, ""),
            (b"250 \r\n", 250, ""),
            (b"250 2.0.0 Gr\xfc\xdfe\r\n", 250, "2.0.0 Gr\u{fffd}\u{fffd}e"),
            (b"250-one\r\n250-\r\n250 three\r\n", 250, "one three"),
            (b"250-one\n250\n", 250, "one"),
            (
                b"550-5.1.1 no such user\r\nsee https://a.example\r\n550 bye\r\n",
                550,
                "5.1.1 no such user see https://a.example bye",
            ),
            (b"354\tgo ahead\r\n", 354, "go ahead"),
        ] {
            let reply = read(bytes).await.unwrap();
            assert_eq!((reply.code, reply.text.as_str()), (code, text));
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error_and_every_reply_is_bounded() {
        let long = [&b"250 "[..], &[b'a'; 5_000], b"\r\n"].concat();
        let endless = b"250-more\r\n".repeat(1_000);
        for bytes in [&b""[..], b"250", b"250-one\r\n", b"HTTP/1.1 200 OK\r\n\r\n", &long, &endless]
        {
            assert!(read(bytes).await.is_err(), "{:?}", &bytes[..bytes.len().min(40)]);
        }
    }
}
