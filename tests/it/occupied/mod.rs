//! Clients that try to occupy the HTTP server: silent, slow, huge, or many. The server stays
//! available to others, its memory is bounded, and it stops quickly.

mod bodies;
mod connections;
mod stopping;
mod waiting;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::scene::{SOON, Scene};
use crate::support::{Fanfare, until};

/// A server for customers with the tenants `acme` and `globex` and these settings in `[http]`.
fn start(scene: &Scene, http: &str) -> Fanfare {
    scene.settings(&format!("[http]\n{http}"));
    for tenant in ["acme", "globex"] {
        scene.tenant(tenant, "");
    }
    scene.launch().for_customers().start()
}

/// Makes a key, and waits until the server knows it.
fn key(scene: &Scene, server: &Fanfare, args: &[&str]) -> String {
    let made = scene.json(&[&["keys", "create"], args].concat());
    let key = made["secret"].as_str().expect("shown once").to_owned();
    let known = || (server.get_with(&key, "/openapi.json").status == 200).then_some(());
    until(SOON, known).expect("the key is taken up");
    key
}

/// A connection on which nothing has been sent.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, SOON).expect("the system accepts it");
    stream.set_read_timeout(Some(SOON)).expect("a time");
    stream.set_write_timeout(Some(SOON)).expect("a time");
    stream
}

/// Sends a part of a request. A server that has closed the connection takes nothing.
pub(crate) fn send(mut stream: &TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// Everything that the server still sends until it closes the connection.
pub(crate) fn rest(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends the answer too.
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("the connection is still open after {SOON:?}")
        }
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Whether the server has closed the connection by now.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a time");
    let mut reader = stream;
    match reader.read(&mut [0; 256]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// Waits until the server has closed all of these.
fn all_closed(streams: &[TcpStream]) {
    let closed = until(SOON, || streams.iter().all(is_closed).then_some(()));
    assert!(closed.is_some(), "some connections stay open");
}

/// The value of a metric in development.
fn metric(server: &Fanfare, name: &str) -> f64 {
    let text = server.get("/metrics").body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

/// The head of a request with a key and a body.
fn head(key: &str, method: &str, path: &str, length: usize) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// Lets this process open as many connections as the system allows.
fn many_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
}
