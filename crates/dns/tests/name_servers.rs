//! The resolver with real name servers on loopback.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare_contract::{Asker, Resolve as _};
use fanfare_dns::{Options, Resolver};
use tokio::net::UdpSocket;

/// A name server that answers A queries for `*.up.test` with 192.0.2.7 and TTL 60, says that
/// anything else does not exist, and never answers for `*.silent.test`.
async fn name_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let queries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&queries);
    tokio::spawn(async move {
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            count.fetch_add(1, Ordering::SeqCst);
            if let Some(answer) = answer(&buffer[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    (address, queries)
}

fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = query.split_at(12);
    let mut labels = Vec::new();
    while let Some((&length, more)) = rest.split_first()
        && length > 0
    {
        let (label, more) = more.split_at(length.into());
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = more;
    }
    let name = labels.join(".");
    let question = &query[12..query.len() - rest.len() + 5];
    let is_a = rest[1..3] == [0, 1];
    if name.ends_with(".silent.test") {
        return None;
    }
    let exists = name.ends_with(".up.test");
    let answers = u8::from(exists && is_a);
    let mut answer = header[..2].to_vec();
    let code = if exists { 0x80 } else { 0x83 };
    answer.extend([0x81, code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question);
    if answers == 1 {
        // A pointer to the question's name, A, IN, TTL 60, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    }
    Some(answer)
}

fn tenant() -> Asker {
    Asker::Tenant("acme".into())
}

#[tokio::test]
async fn names_are_asked_of_the_servers_in_the_settings() {
    let (server, queries) = name_server().await;
    let resolver = Resolver::new(&Options { servers: vec![server], ..Options::default() });
    for _ in 0..5 {
        let ips = resolver.resolve(tenant(), "hooks.up.test").await.unwrap();
        assert_eq!(*ips, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    }
    assert_eq!(queries.load(Ordering::SeqCst), 2, "one query for each family of addresses");
    for _ in 0..5 {
        let error = resolver.resolve(tenant(), "hooks.down.test").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
    assert_eq!(queries.load(Ordering::SeqCst), 4, "that a name does not exist is kept too");
}

#[tokio::test]
async fn a_silent_name_server_costs_its_time_limit_and_other_names_nothing() {
    let (server, _) = name_server().await;
    let timeout = std::time::Duration::from_millis(1_500);
    let options = Options { servers: vec![server], timeout, ..Options::default() };
    let resolver = Resolver::new(&options);
    let silent: Vec<_> = (0..200)
        .map(|n| {
            let resolver = resolver.clone();
            let asker = Asker::Tenant("hostile".into());
            tokio::spawn(async move { resolver.resolve(asker, &format!("h{n}.silent.test")).await })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let mut answered = 0;
    for n in 0..50 {
        resolver.resolve(tenant(), &format!("n{n}.up.test")).await.unwrap();
        answered += usize::from(silent.iter().all(|ask| !ask.is_finished()));
    }
    assert!(answered > 25, "only {answered} of 50 while the silent ones still waited");
    for ask in silent {
        assert_eq!(ask.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn names_of_the_machine_need_no_name_server() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = vec![silent.local_addr().unwrap()];
    let resolver = Resolver::new(&Options { servers, ..Options::default() });
    let ips = resolver.resolve(tenant(), "localhost").await.unwrap();
    assert!(ips.iter().all(IpAddr::is_loopback), "{ips:?}");
    let machine = Resolver::new(&Options::default());
    assert!(!machine.resolve(Asker::Operator, "localhost").await.unwrap().is_empty());
}
