//! `fanfare health`: checks whether a server is ready, for containers and scripts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use http::Method;
use serde_json::Value;
use url::Url;

use super::options::server_url;
use super::remote::{Api, ApiRequest};
use super::{CommandResult, Failure, output};
use crate::config::Config;

/// How long to wait for the response. The server itself waits 2 seconds for its store.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare health
  fanfare health --server https://fanfare.example

Sends GET /readyz, which needs no key. The exit code is 0 if the server is ready, 1 if it is not \
ready because its store cannot be used or it is stopping, and 3 if it cannot be reached.")]
pub(super) struct Args {
    /// Server to check [default: the server on this machine]
    #[arg(long, env = "FANFARE_SERVER", value_name = "URL", value_parser = server_url)]
    server: Option<Url>,
    /// Address of the server on this machine [default: 127.0.0.1:8400]
    #[arg(long, env = "FANFARE_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Settings file of the server on this machine
    #[arg(long, env = "FANFARE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let server = match args.server {
        Some(server) => server,
        None => local(match args.listen {
            Some(listen) => listen,
            None => Config::load(args.config.as_deref())?.listen,
        })?,
    };
    let (host, api) = (server.authority(), Api::over_http(&server, None)?);
    let request = ApiRequest::unversioned(Method::GET, &["readyz"]);
    let response = tokio::time::timeout(TIMEOUT, api.any(request)).await;
    let (status, body) = response.map_err(|_| {
        let seconds = TIMEOUT.as_secs();
        Failure::unreachable(format!("the server at {host} did not answer within {seconds} s"))
    })??;
    if args.json {
        output::json(&body);
        return if status.is_success() { Ok(()) } else { Err(Failure::Reported) };
    }
    if status.is_success() {
        output::line(ready(&body["data"]));
        return Ok(());
    }
    let reason = body["error"]["message"].as_str().unwrap_or("no reason was given");
    Err(Failure::refused(format!("the server at {host} is not ready: {reason}")))
}

fn ready(data: &Value) -> String {
    let store = data["store"].as_str().unwrap_or("?");
    let tenants = data["tenants"].as_u64().unwrap_or_default();
    let word = if tenants == 1 { "tenant" } else { "tenants" };
    format!("ready: {store} store, {tenants} {word}")
}

/// The URL of a server on this machine that listens on this address.
fn local(listen: SocketAddr) -> Result<Url, Failure> {
    if listen.port() == 0 {
        return Err(Failure::refused(
            "with port 0, the server chooses its port; name the server with --server",
        ));
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
        let url = |listen: &str| local(listen.parse().unwrap()).unwrap().to_string();
        assert_eq!(url("0.0.0.0:8400"), "http://127.0.0.1:8400/");
        assert_eq!(url("[::]:8400"), "http://[::1]:8400/");
        assert_eq!(url("10.0.0.7:80"), "http://10.0.0.7/");
        assert!(local("127.0.0.1:0".parse().unwrap()).is_err());
    }
}
