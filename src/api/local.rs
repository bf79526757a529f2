//! Who may call the API while it needs no key: programs on this machine, and no page of a website.
//!
//! A browser lets any page send requests to `127.0.0.1`. It names the page's site in `Origin` and
//! `Sec-Fetch-Site`. A site whose name resolves to `127.0.0.1` is named in `Host`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::answer::ApiError;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names under which this machine may be called.
pub struct LocalHosts {
    names: Vec<String>,
}

impl LocalHosts {
    /// Loopback addresses and `localhost` are always allowed.
    pub fn new(names: &[String]) -> Self {
        Self { names: names.iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    fn allows(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let host = host.to_ascii_lowercase();
        let is_loopback = host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback());
        is_loopback
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.names.contains(&host)
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let mut authorities = Vec::new();
        for given in headers.get_all(header::HOST) {
            authorities.push(authority(given).ok_or_else(foreign_host)?);
        }
        authorities.extend(uri.authority().cloned());
        if !authorities.iter().all(|one| self.allows(one.host())) {
            return Err(foreign_host());
        }
        let is_own = |given: &HeaderValue| {
            let origin: Option<Uri> = given.to_str().ok().and_then(|text| text.parse().ok());
            origin.is_some_and(|origin| authorities.iter().any(|own| is_origin_of(own, &origin)))
        };
        let cross_site = headers.get(FETCH_SITE).is_some_and(|site| site == "cross-site");
        if cross_site || !headers.get_all(header::ORIGIN).iter().all(is_own) {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "foreign_origin",
                "the request comes from a page of another site, which may not use the API in \
                 development; use a program instead, or require a key",
            ));
        }
        Ok(())
    }
}

fn authority(given: &HeaderValue) -> Option<Authority> {
    given.to_str().ok()?.parse().ok()
}

fn is_origin_of(own: &Authority, origin: &Uri) -> bool {
    let default = if origin.scheme_str() == Some("https") { 443 } else { 80 };
    origin.authority().is_some_and(|site| {
        site.host().eq_ignore_ascii_case(own.host())
            && site.port_u16().unwrap_or(default) == own.port_u16().unwrap_or(80)
    })
}

fn foreign_host() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        "foreign_host",
        "in development the API is called as localhost or by a loopback address; use such a host, \
         or add the name to http.development_hosts",
    )
}

/// Refuses requests in the name of other sites, if there are hosts to compare with.
pub fn local_only<S>(router: Router<S>, hosts: Option<Arc<LocalHosts>>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    match hosts {
        Some(hosts) => router.layer(middleware::from_fn_with_state(hosts, layer)),
        None => router,
    }
}

async fn layer(State(hosts): State<Arc<LocalHosts>>, request: Request, next: Next) -> Response {
    match hosts.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(headers: &[(&'static str, &'static str)]) -> &'static str {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let hosts = LocalHosts::new(&["Box.test".to_owned()]);
        hosts.check(&Uri::from_static("/v1/events"), &headers).map_or_else(|e| e.code, |()| "ok")
    }

    #[test]
    fn only_names_of_this_machine_are_accepted_as_host() {
        for host in [
            "localhost",
            "LOCALHOST:8400",
            "localhost.:8400",
            "api.localhost",
            "127.0.0.1:8400",
            "127.9.9.9",
            "[::1]:8400",
            "[::ffff:127.0.0.1]",
            "box.test:1",
        ] {
            assert_eq!(code(&[("host", host)]), "ok", "{host}");
        }
        for host in [
            "evil.test",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "10.0.0.1",
            "[2001:db8::1]",
            "0x7f.1",
            "",
            "a b",
        ] {
            assert_eq!(code(&[("host", host)]), "foreign_host", "{host}");
        }
        assert_eq!(code(&[]), "ok", "a browser always sends one");
        let two = [("host", "localhost"), ("host", "evil.test")];
        assert_eq!(code(&two), "foreign_host", "each of several counts");
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let host = ("host", "localhost:8400");
        for origin in ["http://localhost:8400", "http://LOCALHOST:8400"] {
            assert_eq!(code(&[host, ("origin", origin)]), "ok", "{origin}");
        }
        for origin in
            ["null", "http://evil.test", "http://localhost:3000", "http://127.0.0.1:8400", "x y"]
        {
            assert_eq!(code(&[host, ("origin", origin)]), "foreign_origin", "{origin}");
        }
        assert_eq!(code(&[("host", "localhost"), ("origin", "http://localhost")]), "ok");
        assert_eq!(code(&[host, ("sec-fetch-site", "same-origin")]), "ok");
        assert_eq!(code(&[host, ("sec-fetch-site", "none")]), "ok");
        assert_eq!(code(&[host, ("sec-fetch-site", "cross-site")]), "foreign_origin");
    }
}
