//! `Content-Encoding` of request bodies: gzip and zstd.
//!
//! A compressed body can be a thousand times larger than what is sent. It is decompressed piece by
//! piece; every piece counts against the memory for bodies, and the whole must not be larger than a
//! body that is sent without compression.

use std::io::{self, Cursor, Read};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::answer::ApiError;
use super::body_memory::Held;

/// How much is decompressed before other requests get a turn.
const PIECE: usize = 64 * 1024;
/// The largest window of a zstd frame that senders may use over HTTP (RFC 9659).
const MAX_WINDOW: u64 = 8 * 1024 * 1024;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

/// The coding of a body. Fails for codings that are not supported.
pub(super) fn coding(headers: &HeaderMap) -> Result<Coding, ApiError> {
    let mut codings = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .flat_map(|line| line.to_str().unwrap_or("?").split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity");
    let coding = match codings.next().as_deref() {
        None => return Ok(Coding::Identity),
        Some("gzip" | "x-gzip") => Coding::Gzip,
        Some("zstd") => Coding::Zstd,
        Some(_) => {
            return Err(unsupported("send the body with `gzip`, `zstd` or without encoding"));
        }
    };
    match codings.next() {
        None => Ok(coding),
        Some(_) => Err(unsupported("encode the body once")),
    }
}

/// Refuses any coding, for paths whose bodies are small.
pub(super) fn refuse_coding(headers: &HeaderMap) -> Result<(), ApiError> {
    match coding(headers)? {
        Coding::Identity => Ok(()),
        _ => Err(unsupported(
            "send the body without encoding; only /v1/events and /v1/ingest accept gzip and zstd",
        )),
    }
}

fn unsupported(advice: &str) -> ApiError {
    ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "invalid_request",
        "unsupported_encoding",
        format!("the `Content-Encoding` is not supported here; {advice}"),
    )
}

/// Decompresses a body of at most `largest` bytes.
pub(super) async fn decompress(
    body: Bytes,
    coding: Coding,
    largest: usize,
    held: Option<&Held>,
) -> Result<Bytes, ApiError> {
    let mut reader: Box<dyn Read + Send> = match coding {
        Coding::Identity => return Ok(body),
        Coding::Gzip => Box::new(MultiGzDecoder::new(Cursor::new(body))),
        Coding::Zstd => Box::new(Frames::new(body)),
    };
    let mut whole = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let count = reader.read(&mut piece).map_err(|error| broken(&error))?;
        if count == 0 {
            return Ok(whole.into());
        }
        if whole.len() + count > largest {
            let message = format!(
                "the body has more than {largest} bytes when it is decompressed; send less at once"
            );
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(ApiError::new(status, "invalid_request", "bad_body", message));
        }
        if let Some(held) = held {
            held.take(count).map_err(|error| ApiError::from(&error))?;
        }
        whole.extend_from_slice(&piece[..count]);
        tokio::task::yield_now().await;
    }
}

fn broken(error: &io::Error) -> ApiError {
    let message = format!("the body cannot be decompressed: {error}");
    ApiError::invalid("bad_encoding", message)
}

/// The frames of a zstd body, one after the other.
struct Frames {
    source: Cursor<Bytes>,
    decoder: FrameDecoder,
    is_open: bool,
}

impl Frames {
    fn new(body: Bytes) -> Self {
        Self { source: Cursor::new(body), decoder: FrameDecoder::new(), is_open: false }
    }

    /// Opens the next frame. Returns false at the end.
    fn open(&mut self) -> io::Result<bool> {
        loop {
            let at = usize::try_from(self.source.position()).unwrap_or(usize::MAX);
            let rest = self.source.get_ref().get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(false);
            }
            match Header::read(rest).ok_or_else(|| invalid("it is not zstd"))? {
                Header::Skip(bytes) => self.source.set_position((at as u64).saturating_add(bytes)),
                Header::Frame { window } if window > MAX_WINDOW => {
                    return Err(invalid(
                        "its window is larger than 8 MiB; compress with a smaller one",
                    ));
                }
                Header::Frame { .. } => {
                    self.decoder.init(&mut self.source).map_err(io::Error::other)?;
                    return Ok(true);
                }
            }
        }
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Read for Frames {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_open {
                if !self.open()? {
                    return Ok(0);
                }
                self.is_open = true;
            }
            while self.decoder.can_collect() < to.len() && !self.decoder.is_finished() {
                let missing = to.len() - self.decoder.can_collect();
                let wanted = BlockDecodingStrategy::UptoBytes(missing);
                self.decoder.decode_blocks(&mut self.source, wanted).map_err(io::Error::other)?;
            }
            let count = self.decoder.read(to)?;
            if count > 0 {
                return Ok(count);
            }
            self.is_open = false;
        }
    }
}

/// The beginning of a frame (RFC 8878, section 3.1). The decoder allocates the window before it can
/// be asked for its size.
enum Header {
    Frame {
        window: u64,
    },
    /// A frame to skip, with its size in bytes.
    Skip(u64),
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| {
            let bytes = bytes.get(range)?.iter().rev();
            Some(bytes.fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
        };
        match number(0..4)? {
            0xFD2F_B528 => {}
            magic if magic & 0xFFFF_FFF0 == 0x184D_2A50 => {
                return Some(Self::Skip(8 + number(4..8)?));
            }
            _ => return None,
        }
        let descriptor = *bytes.get(4)?;
        if descriptor & 0x20 == 0 {
            let window = *bytes.get(5)?;
            let base = 1_u64 << (10 + (window >> 3));
            return Some(Self::Frame { window: base + base / 8 * u64::from(window & 7) });
        }
        // A single segment: the window is the size of the content.
        let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
        let content = number(at..at + size)?;
        Some(Self::Frame { window: if size == 2 { content + 256 } else { content } })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(plain: &[u8]) -> Vec<u8> {
        compress_to_vec(plain, CompressionLevel::Fastest)
    }

    async fn plain(body: Vec<u8>, coding: Coding, largest: usize) -> Result<Bytes, &'static str> {
        decompress(body.into(), coding, largest, None).await.map_err(|error| error.code)
    }

    #[tokio::test]
    async fn bodies_of_one_and_of_several_parts_are_decompressed() {
        let text: Vec<u8> =
            (0..300_000_u32).flat_map(|n| (n % 977).to_string().into_bytes()).collect();
        for (coding, encode) in [(Coding::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Coding::Zstd, zstd)]
        {
            assert_eq!(plain(encode(&text), coding, 1 << 22).await.unwrap(), text, "{coding:?}");
            let two = [encode(b"one "), encode(b"two")].concat();
            assert_eq!(plain(two, coding, 100).await.unwrap(), &b"one two"[..], "{coding:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_grows_beyond_the_limit_is_refused() {
        let zeros = vec![0; 4 << 20];
        for (coding, body) in [(Coding::Gzip, gzip(&zeros)), (Coding::Zstd, zstd(&zeros))] {
            assert!(body.len() < zeros.len() / 100, "{coding:?}");
            assert_eq!(plain(body, coding, 1 << 20).await, Err("bad_body"), "{coding:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_compressed_is_refused_and_a_window_is_bounded() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let bodies = [&b"{\"type\":\"a\"}"[..], &gzip(b"text")[..12], &zstd(b"text")[..6]];
            for body in bodies {
                let found = plain(body.to_vec(), coding, 100).await;
                assert_eq!(found, Err("bad_encoding"), "{coding:?} {body:?}");
            }
        }
        // A frame that announces a window of 2 GiB.
        let wide = vec![0x28, 0xB5, 0x2F, 0xFD, 0, 21 << 3, 0, 0, 0];
        assert_eq!(plain(wide, Coding::Zstd, 100).await, Err("bad_encoding"));
        let skipped = [&[0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd(b"x")].concat();
        assert_eq!(plain(skipped, Coding::Zstd, 100).await.unwrap(), &b"x"[..]);
    }

    #[test]
    fn one_known_coding_is_accepted() {
        let of = |text: &'static str| {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(text))]);
            coding(&headers).map_err(|error| error.code)
        };
        assert_eq!(of("GZIP"), Ok(Coding::Gzip));
        assert_eq!(of("identity, zstd"), Ok(Coding::Zstd));
        assert_eq!(of(""), Ok(Coding::Identity));
        for text in ["br", "gzip, gzip", "deflate"] {
            assert_eq!(of(text), Err("unsupported_encoding"), "{text}");
        }
    }
}
