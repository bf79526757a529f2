//! What happened to users of systems like this one: receivers, producers and repairs as they were
//! reported, over the real server.

mod clocks;
mod connections;
mod ingest;
mod refusals;
mod repairs;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A receiver of raw connections. Each connection has a thread of its own.
struct RawReceiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl RawReceiver {
    /// Calls `serve` with each connection and its number from 0.
    fn start(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let (serve, count) = (Arc::new(serve), connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serve, nth) = (serve.clone(), count.fetch_add(1, Ordering::SeqCst));
                thread::spawn(move || serve(stream, nth));
            }
        });
        Self { address, connections }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads one request with a body. False at the end of the connection.
fn read_request(stream: &mut TcpStream) -> bool {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = read.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |text| text.trim().parse().expect("a number"));
            if read.len() >= end + 4 + length {
                return true;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return false,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
}

/// A tenant's webhook `hooks` at `url`, which gets every event `test.…`.
fn table(url: &str, retry: &str, more: &str) -> String {
    format!(
        r#"
        [[destination]]
        id = "hooks"
        channel = "webhook"
        url = "{url}"
        secret = "{SECRET}"
        retry = {retry}
        {more}

        [[route]]
        events = ["test.**"]
        to = ["hooks"]
        "#,
        SECRET = crate::verifiers::SECRET
    )
}

fn answer(stream: &mut TcpStream, answer: &[u8]) {
    stream.write_all(answer).expect("the connection is open");
}
