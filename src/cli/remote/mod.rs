//! The API as commands use it: on a server over HTTP, or in this process over a store. Both run the
//! same handlers, so a command checks, changes, and records the same things either way.

mod http;
mod in_process;
mod request;

use ::http::{HeaderMap, StatusCode, header};
use fanfare_contract::Json;
use serde_json::Value;
use url::Url;

use super::Failure;
use super::options::Target;
use crate::config::Config;
use fanfare_store::Store;

pub(super) use in_process::ACTOR;
pub(super) use request::ApiRequest;

/// What a command needs of a store, if it does not use a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreUse {
    /// The store exists. Receivers' addresses are not checked: the command sets none.
    Existing,
    /// The store exists. Receivers' addresses are checked by the settings and `--development`.
    ExistingChecked,
    /// An embedded store is created if there is none.
    Create,
    /// An embedded store is created if there is none, and receivers' addresses are checked.
    CreateChecked,
}

/// The API.
pub(super) struct Api {
    transport: Transport,
}

enum Transport {
    Http(http::Server),
    InProcess(axum::Router),
}

/// The response to a request that succeeded.
pub(super) struct ApiResponse {
    /// Its `data`; null if it has no body.
    pub(super) data: Value,
    /// Its `ETag`.
    pub(super) etag: Option<String>,
}

/// The data of a response that contains events.
pub(super) struct Exact {
    /// For everything but the events.
    pub(super) data: Value,
    /// The same with numbers as they were written.
    pub(super) json: Json,
}

impl Exact {
    /// Data without events.
    pub(super) fn of(data: Value) -> Self {
        let json = Json::parse(data.to_string().as_bytes()).unwrap_or_default();
        Self { data, json }
    }
}

/// A response before its body is parsed.
struct RawResponse {
    status: StatusCode,
    etag: Option<String>,
    body: Vec<u8>,
}

impl Api {
    /// The API of the chosen server or store.
    pub(super) async fn open(target: &Target, store_use: StoreUse) -> Result<Self, Failure> {
        if let Some(api) = target.server.api()? {
            return Ok(api);
        }
        let (mut config, store) = match store_use {
            StoreUse::Create | StoreUse::CreateChecked => target.store.open_or_create().await?,
            StoreUse::Existing | StoreUse::ExistingChecked => target.store.open_existing().await?,
        };
        // The store's own destinations were checked when they were written.
        let checks = matches!(store_use, StoreUse::ExistingChecked | StoreUse::CreateChecked);
        config.development |= target.development || !checks;
        Self::over_store(&config, store).await
    }

    /// The API of a server.
    pub(super) fn over_http(server: &Url, key: Option<&str>) -> Result<Self, Failure> {
        Ok(Self { transport: Transport::Http(http::Server::new(server, key)?) })
    }

    /// The API over an open store.
    pub(super) async fn over_store(config: &Config, store: Store) -> Result<Self, Failure> {
        Ok(Self { transport: Transport::InProcess(in_process::router(config, store).await?) })
    }

    /// Returns the data of a success, or fails with the API's reasons.
    pub(super) async fn data(&self, request: ApiRequest) -> Result<Value, Failure> {
        Ok(self.call(request).await?.data)
    }

    /// The same, with events as their producers wrote them.
    pub(super) async fn exact(&self, request: ApiRequest) -> Result<Exact, Failure> {
        exact(self.send(request).await?)
    }

    /// The same; `None` if the resource does not exist.
    pub(super) async fn find_exact(&self, request: ApiRequest) -> Result<Option<Exact>, Failure> {
        let response = self.send(request).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        exact(response).map(Some)
    }

    /// The same; `None` if the resource does not exist.
    pub(super) async fn find(&self, request: ApiRequest) -> Result<Option<Value>, Failure> {
        let response = self.send(request).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(read(response)?.data))
    }

    /// Returns a success, or prints every field that is wrong and fails.
    pub(super) async fn call(&self, request: ApiRequest) -> Result<ApiResponse, Failure> {
        read(self.send(request).await?)
    }

    /// The same, but returns the `error` of a refusal (4xx) for the caller to report.
    pub(super) async fn try_call(
        &self,
        request: ApiRequest,
    ) -> Result<Result<ApiResponse, Value>, Failure> {
        let response = self.send(request).await?;
        if !response.status.is_client_error() {
            return read(response).map(Ok);
        }
        let mut body = json(&response)?;
        Ok(Err(body["error"].take()))
    }

    /// The status and the body of any response, also of a failure.
    pub(super) async fn any(&self, request: ApiRequest) -> Result<(StatusCode, Value), Failure> {
        let response = self.send(request).await?;
        Ok((response.status, json(&response)?))
    }

    /// Passes a response of any length from a server to `write`, piece by piece.
    pub(super) async fn download(
        &self,
        request: ApiRequest,
        write: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
    ) -> Result<(), Failure> {
        match &self.transport {
            Transport::Http(server) => server.download(request, write).await,
            Transport::InProcess(_) => Err(Failure::refused("a download needs --server")),
        }
    }

    async fn send(&self, request: ApiRequest) -> Result<RawResponse, Failure> {
        match &self.transport {
            Transport::Http(server) => server.send(request).await,
            Transport::InProcess(router) => in_process::send(router, request).await,
        }
    }
}

fn exact(response: RawResponse) -> Result<Exact, Failure> {
    let json = Json::parse(&response.body);
    let data = read(response)?.data;
    Ok(Exact { data, json: json.map(|json| json["data"].clone()).unwrap_or_default() })
}

fn etag(headers: &HeaderMap) -> Option<String> {
    headers.get(header::ETAG)?.to_str().ok().map(str::to_owned)
}

fn read(response: RawResponse) -> Result<ApiResponse, Failure> {
    if response.status == StatusCode::NO_CONTENT {
        return Ok(ApiResponse { data: Value::Null, etag: response.etag });
    }
    let mut body = json(&response)?;
    if response.status.is_success() {
        return Ok(ApiResponse { data: body["data"].take(), etag: response.etag });
    }
    Err(refusal(response.status, &body["error"]))
}

fn json(response: &RawResponse) -> Result<Value, Failure> {
    serde_json::from_slice(&response.body).map_err(|_| {
        Failure::unreachable(format!(
            "the response ({}) is not from Fanfare's API; check --server",
            response.status
        ))
    })
}

/// The failure of a refused request.
fn refusal(status: StatusCode, error: &Value) -> Failure {
    if status.is_server_error() {
        return Failure::unreachable(format!("{} ({status})", reason(error)));
    }
    Failure::Api(error.clone())
}

/// Why the API refused, in the words of the command line where the API's would name a header.
pub(super) fn reason(error: &Value) -> String {
    let message = error["message"].as_str().unwrap_or("no reason was given");
    match error["code"].as_str() {
        Some("no_tenant") => "no tenant was given; name it with --tenant".to_owned(),
        Some("no_key") => "the server requires a key; set FANFARE_KEY or pass --key".to_owned(),
        Some("wrong_key" | "expired_key") => {
            format!("{message}; set a valid key with FANFARE_KEY or --key")
        }
        _ => message.to_owned(),
    }
}
