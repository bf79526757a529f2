//! Reads the URL of a Redis store.
//!
//! | URL | meaning |
//! | --- | --- |
//! | `redis://[user:password@]host[:6379][/db]` | one server |
//! | `rediss://…` | one server over TLS |
//! | `unix:///path/to/socket[?db=1&user=…&pass=…]` | one server on this machine |
//! | `redis+cluster://[user:password@]h1:6379,h2:6379` | a Cluster, with some of its nodes |
//! | `redis+sentinel://[user:password@]h1:26379,h2:26379/master[/db]` | the master of that name, according to the Sentinels |
//!
//! `rediss+cluster` and `rediss+sentinel` speak TLS with the data nodes (and Cluster nodes); the
//! user and password are those of the data nodes.

use redis::sentinel::SentinelNodeConnectionInfo;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsMode};

use crate::{Result, StoreError};

/// Servers and how to reach them.
pub(super) struct Address {
    /// Hosts and ports, without credentials, for messages.
    pub(super) label: String,
    pub(super) target: Target,
}

/// The three shapes of a Redis.
pub(super) enum Target {
    Single(Box<ConnectionInfo>),
    Cluster(Vec<ConnectionInfo>),
    Sentinel { sentinels: Vec<ConnectionInfo>, master: String, node: SentinelNodeConnectionInfo },
}

impl Address {
    /// Reads a URL. Errors never repeat it, because it may contain a password.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            wrong("has no scheme; write redis://host:6379, redis+cluster://… or redis+sentinel://…")
        })?;
        match scheme {
            "redis" | "rediss" | "unix" | "redis+unix" => {
                let info = info(url)?;
                Ok(Self { label: label([&info]), target: Target::Single(Box::new(info)) })
            }
            "redis+cluster" | "rediss+cluster" => {
                let parts = Parts::split(rest);
                let nodes = parts.nodes(plain(scheme), 6379, &parts.user, "")?;
                Ok(Self { label: label(&nodes), target: Target::Cluster(nodes) })
            }
            "redis+sentinel" | "rediss+sentinel" => sentinel(scheme, &Parts::split(rest)),
            _ => Err(wrong(
                "has a scheme that is none of redis, rediss, unix, redis+cluster, rediss+cluster, redis+sentinel, rediss+sentinel",
            )),
        }
    }
}

fn sentinel(scheme: &str, parts: &Parts<'_>) -> Result<Address> {
    let (master, db) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    if master.is_empty() {
        return Err(wrong("names no master; write redis+sentinel://host:26379/mymaster"));
    }
    let sentinels = parts.nodes("redis", 26379, "", "")?;
    let settings = parts.nodes(plain(scheme), 6379, &parts.user, db)?.remove(0);
    let mut node = SentinelNodeConnectionInfo::default()
        .set_redis_connection_info(settings.redis_settings().clone());
    if scheme.starts_with("rediss") {
        node = node.set_tls_mode(TlsMode::Secure);
    }
    Ok(Address {
        label: format!("{master} of {}", label(&sentinels)),
        target: Target::Sentinel { sentinels, master: master.to_owned(), node },
    })
}

/// A URL with several hosts, which the url crate does not support.
struct Parts<'a> {
    user: String,
    hosts: &'a str,
    path: &'a str,
}

impl<'a> Parts<'a> {
    fn split(rest: &'a str) -> Self {
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        Self { user, hosts, path: path.trim_end_matches('/') }
    }

    fn nodes(&self, scheme: &str, port: u16, user: &str, db: &str) -> Result<Vec<ConnectionInfo>> {
        let nodes: Vec<_> = self
            .hosts
            .split(',')
            .filter(|host| !host.is_empty())
            .map(|host| {
                let has_port = host.rsplit_once(':').is_some_and(|(_, end)| !end.contains(']'));
                let port = if has_port { String::new() } else { format!(":{port}") };
                info(&format!("{scheme}://{user}{host}{port}/{db}"))
            })
            .collect::<Result<_>>()?;
        if nodes.is_empty() { Err(wrong("names no host")) } else { Ok(nodes) }
    }
}

fn plain(scheme: &str) -> &str {
    scheme.split('+').next().unwrap_or(scheme)
}

fn info(url: &str) -> Result<ConnectionInfo> {
    let info = url.into_connection_info().map_err(|_| {
        wrong("is not understood; write redis://user:password@host:6379/0, with special characters of the password percent-encoded")
    })?;
    // The replies are read in the form of RESP2, whatever the URL says.
    let settings =
        info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
    Ok(info.set_redis_settings(settings))
}

fn label<'a>(infos: impl IntoIterator<Item = &'a ConnectionInfo>) -> String {
    let mut labels = Vec::new();
    for info in infos {
        labels.push(match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                format!("{host}:{port}")
            }
            other => other.to_string(),
        });
    }
    labels.join(",")
}

fn wrong(what: &str) -> StoreError {
    StoreError::Address(format!("the Redis URL {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_servers_and_never_passwords() {
        for (url, label) in [
            ("redis://h", "h:6379"),
            ("redis://user:s3cret@h:7000/2", "h:7000"),
            ("rediss://:s3cret@h", "h:6379"),
            ("unix:///run/redis.sock", "/run/redis.sock"),
            ("redis+cluster://:s3cret@a:1,b:2/", "a:1,b:2"),
            ("rediss+cluster://a,[::1]:9", "a:6379,::1:9"),
            ("redis+sentinel://u:s3cret@a,b:7/mymaster/3", "mymaster of a:26379,b:7"),
        ] {
            let address = Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(address.label.trim_matches(['[', ']']), label, "{url}");
        }
    }

    #[test]
    fn a_sentinel_url_gives_master_database_and_credentials() {
        let Target::Sentinel { sentinels, master, .. } =
            Address::parse("redis+sentinel://u:p@a,b/main/3").unwrap().target
        else {
            panic!("not a sentinel");
        };
        assert_eq!((sentinels.len(), master.as_str()), (2, "main"));
        assert_eq!(sentinels[0].redis_settings().password(), None);
    }

    #[test]
    fn a_wrong_url_is_refused_without_being_repeated() {
        for url in [
            "s3cret",
            "http://s3cret@h",
            "redis://:s3cret@",
            "redis+cluster://:s3cret@/",
            "redis+sentinel://s3cret@h",
        ] {
            let Err(error) = Address::parse(url) else { panic!("{url} was taken") };
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
