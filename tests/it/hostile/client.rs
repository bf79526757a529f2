//! An HTTP client for attackers: it chooses its own address, and it does not believe that an answer
//! comes.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// Longer than any answer should take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server and a key.
#[derive(Clone)]
pub(super) struct Client {
    server: SocketAddr,
    key: String,
    from: Ipv4Addr,
    host: String,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Reply {
    /// The body, if the status is this one.
    #[track_caller]
    pub(super) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The status and the code of the error.
    pub(super) fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or("no code"))
    }
}

impl Client {
    pub(super) fn new(server: SocketAddr, key: &str) -> Self {
        let host = server.to_string();
        Self { server, key: key.to_owned(), from: Ipv4Addr::LOCALHOST, host }
    }

    /// The same from another address of the loopback.
    pub(super) fn from(mut self, last: u8) -> Self {
        self.from = Ipv4Addr::new(127, 0, 0, last);
        self
    }

    /// The same with another `Host`.
    pub(super) fn with_host(&self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self.clone() }
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "")
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &body.to_string())
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, &body.to_string())
    }

    pub(super) fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send("PATCH", path, &body.to_string())
    }

    pub(super) fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, "")
    }

    /// Sends a request and reads its answer.
    pub(super) fn send(&self, method: &str, path: &str, body: &str) -> Reply {
        self.send_with(method, path, &[], body)
    }

    /// The same with more headers.
    pub(super) fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let answer = self.try_send(method, path, headers, body.as_bytes());
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same; a connection that is refused or cut is an error.
    pub(super) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let mut stream = self.connect()?;
        let head = self.head(method, path, headers, body.len(), "close");
        stream.write_all(head.as_bytes())?;
        // A server that has seen enough answers before the body ends.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            read?;
        }
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status =
            status.ok_or_else(|| io::Error::other(format!("not an answer: {answer:?}")))?;
        Ok(Reply { status, body: serde_json::from_str(body).unwrap_or_else(|_| body.into()) })
    }

    /// An open connection.
    pub(super) fn connect(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(IpAddr::V4(self.from), 0).into())?;
        socket.connect_timeout(&self.server.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// The head of a request.
    pub(super) fn head(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: usize,
        connection: &str,
    ) -> String {
        let mut more = String::new();
        for (name, value) in headers {
            more += &[name, ": ", value, "\r\n"].concat();
        }
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\
             connection: {connection}\r\n{more}\r\n",
            self.host, self.key
        )
    }

    /// A producer that uses one connection for all of its events.
    pub(super) fn kept_open(self) -> Producer {
        Producer { client: self, open: None }
    }
}

/// A producer with a connection that stays open.
pub(super) struct Producer {
    client: Client,
    open: Option<BufReader<TcpStream>>,
}

impl Producer {
    /// Publishes an event. It must be accepted at once, over the connection that is open.
    pub(super) fn publish(&mut self, body: &str) {
        match self.try_publish(body) {
            Ok(202) => {}
            Ok(status) => panic!("the healthy tenant's event is answered {status}"),
            Err(error) => panic!("the healthy tenant's event is not answered: {error}"),
        }
    }

    fn try_publish(&mut self, body: &str) -> io::Result<u16> {
        let stream = match self.open.take() {
            Some(stream) => stream,
            None => BufReader::new(self.client.connect()?),
        };
        let mut stream = stream;
        let head = self.client.head("POST", "/v1/events", &[], body.len(), "keep-alive");
        stream.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not an answer: {line:?}")))?;
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        stream.read_exact(&mut vec![0; length])?;
        self.open = Some(stream);
        Ok(status)
    }
}
