//! `fanfare health`: asks a server whether it is ready. For health checks of containers, and for
//! scripts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use http::Method;
use serde_json::Value;
use url::Url;

use super::remote::{Api, Ask};
use super::{Done, Failure, output};
use crate::config::Config;

/// The server itself gives its store 2 seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare health
  fanfare health --server https://fanfare.example.com

Sends GET /readyz, which needs no key. Exit codes: 0 the server is ready; 1 it answers that it is not
ready: its store cannot be used, or it is stopping; 3 it cannot be reached.")]
pub(super) struct Args {
    /// Server to check [default: the one on this machine, at the port of `listen`]
    #[arg(long, env = "FANFARE_SERVER", value_name = "URL")]
    server: Option<Url>,
    /// Address that the server on this machine listens on [default: 127.0.0.1:8400]
    #[arg(long, env = "FANFARE_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Settings file of the server on this machine
    #[arg(long, env = "FANFARE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Done {
    let server = match args.server {
        Some(server) => server,
        None => here(match args.listen {
            Some(listen) => listen,
            None => Config::load(args.config.as_deref())?.listen,
        })?,
    };
    let (host, api) = (server.authority(), Api::at(&server, None)?);
    let answer = tokio::time::timeout(TIMEOUT, api.any(Ask::outside(Method::GET, &["readyz"])));
    let (status, body) = answer.await.map_err(|_| {
        anyhow::anyhow!("the server at {host} did not answer within {} s", TIMEOUT.as_secs())
    })??;
    if args.json {
        output::json(&body);
        return if status.is_success() { Ok(()) } else { Err(Failure::No) };
    }
    if status.is_success() {
        output::line(ready(&body["data"]));
        return Ok(());
    }
    let why = body["error"]["message"].as_str().unwrap_or("it gave no reason");
    Err(Failure::Because(format!("the server at {host} is not ready: {why}")))
}

fn ready(data: &Value) -> String {
    let store = data["store"].as_str().unwrap_or("?");
    let tenants = data["tenants"].as_u64().unwrap_or_default();
    let word = if tenants == 1 { "tenant" } else { "tenants" };
    format!("ready: {store} store, {tenants} {word}")
}

/// The URL of a server on this machine that listens on this address.
fn here(listen: SocketAddr) -> Result<Url, Failure> {
    if listen.port() == 0 {
        let message = "port 0 lets the server choose its port; name the server with --server";
        return Err(Failure::Because(message.to_owned()));
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    Url::parse(&format!("http://{address}")).map_err(|error| Failure::Unreachable(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_on_all_addresses_is_asked_on_loopback() {
        let url = |listen: &str| here(listen.parse().unwrap()).unwrap().to_string();
        assert_eq!(url("0.0.0.0:8400"), "http://127.0.0.1:8400/");
        assert_eq!(url("[::]:8400"), "http://[::1]:8400/");
        assert_eq!(url("10.0.0.7:80"), "http://10.0.0.7/");
        assert!(here("127.0.0.1:0".parse().unwrap()).is_err());
    }
}
