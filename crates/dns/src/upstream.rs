//! The name servers: those of the settings, or those of the machine.
//!
//! A name in the machine's hosts file has the addresses that the file gives it. The files of the
//! machine are read again when they change, as the C library does.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    ResolverOpts,
};
use hickory_resolver::lookup_ip::LookupIp;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::system_conf::read_system_conf;

use crate::Options;
use crate::cache::Found;

/// How often the files of the machine are looked at, while there are lookups.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Answers lookups.
#[async_trait]
pub(crate) trait Upstream: Send + Sync {
    /// One lookup. The caller limits its time.
    async fn lookup(&self, name: &str) -> Found;
}

/// Asks name servers over UDP, and over TCP if an answer is too long for UDP.
pub(crate) struct NameServers {
    servers: Vec<SocketAddr>,
    /// Time limit of one query to one server.
    patience: Duration,
    current: Mutex<Option<Current>>,
}

/// A resolver, and the state of the files that it was made from.
struct Current {
    resolver: TokioResolver,
    files: [FileState; 2],
    looked: Instant,
}

/// When a file was last changed, and its length. None if there is no such file.
type FileState = Option<(SystemTime, u64)>;

impl NameServers {
    pub(crate) fn new(options: &Options) -> Self {
        // Two tries, and a rest for a search domain or a slow second server.
        let patience = options.timeout / 3;
        Self { servers: options.servers.clone(), patience, current: Mutex::default() }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(current) = &mut *current {
            if now.duration_since(current.looked) < LOOK_EVERY {
                return Ok(current.resolver.clone());
            }
            current.looked = now;
            if current.files == files() {
                return Ok(current.resolver.clone());
            }
        }
        let files = files();
        let resolver = self.build()?;
        *current = Some(Current { resolver: resolver.clone(), files, looked: now });
        Ok(resolver)
    }

    fn build(&self) -> Result<TokioResolver, NetError> {
        let (config, mut options) = if self.servers.is_empty() {
            of_the_machine()
        } else {
            let servers = self.servers.iter().map(|server| name_server(*server)).collect();
            (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
        };
        options.timeout = self.patience;
        options.attempts = 1;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Always;
        // This crate has its own cache, which also keeps failures.
        options.cache_size = 0;
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
    }
}

#[async_trait]
impl Upstream for NameServers {
    async fn lookup(&self, name: &str) -> Found {
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(error) => return failed(&error),
        };
        match resolver.lookup_ip(name).await {
            Ok(found) => addresses(&found),
            Err(NetError::Dns(DnsError::NoRecordsFound(nothing))) => {
                Found::Nothing(nothing.negative_ttl.map(|secs| Duration::from_secs(secs.into())))
            }
            Err(error) => failed(&error),
        }
    }
}

fn addresses(found: &LookupIp) -> Found {
    let ips: Arc<[IpAddr]> = found.iter().collect();
    if ips.is_empty() {
        return Found::Nothing(None);
    }
    Found::Addresses(ips, found.valid_until().saturating_duration_since(Instant::now()))
}

fn failed(error: &NetError) -> Found {
    let kind = match error {
        NetError::Timeout => io::ErrorKind::TimedOut,
        NetError::Proto(_) => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    Found::Failed(kind, error.to_string().into())
}

/// What `/etc/resolv.conf` says. Without name servers in it, the local one is asked, as the C
/// library does.
fn of_the_machine() -> (ResolverConfig, ResolverOpts) {
    read_system_conf().unwrap_or_else(|error| {
        tracing::debug!(%error, "no name servers in /etc/resolv.conf; asking 127.0.0.1");
        let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
        (ResolverConfig::from_parts(None, Vec::new(), vec![local]), ResolverOpts::default())
    })
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn files() -> [FileState; 2] {
    FILES.map(|path| {
        let file = Path::new(path).metadata().ok()?;
        Some((file.modified().ok()?, file.len()))
    })
}
