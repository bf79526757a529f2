//! What a server logs at its start: where it listens, and what an operator should change.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::api::Authenticator;
use crate::app::{self, App};
use crate::config::Config;
use crate::secrets::Secrets;

/// Says where the master key is if it was just created, and warns if there is none.
pub(super) fn master_key(secrets: &Secrets) {
    if let Some(path) = secrets.created_key_file() {
        tracing::info!(
            "created a master key, which encrypts the secrets in the store: {}. Keep a copy of it \
             apart from the store: without it, they cannot be decrypted",
            path.display()
        );
    }
    if secrets.are_plain() {
        tracing::warn!(
            "DEVELOPMENT MODE: there is no master key, so the secrets of destinations are stored \
             unencrypted in Redis. Create a key with `fanfare secrets new-key` and set \
             FANFARE_MASTER_KEY"
        );
    }
}

/// Encrypts the secrets that are unencrypted or encrypted with an older key.
pub(super) async fn reseal(secrets: Secrets, stop: CancellationToken) {
    let resealed = tokio::select! {
        resealed = secrets.reseal() => resealed,
        () = stop.cancelled() => return,
    };
    match resealed {
        Ok(resealed) if resealed.documents > 0 => {
            let (documents, left) = (resealed.documents, resealed.left);
            tracing::info!(documents, left, "encrypted secrets with the current master key");
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(
                %error,
                "some secrets are still encrypted with an older master key; the next start or \
                 `fanfare secrets rotate` continues"
            );
        }
    }
}

/// Warns if the API is exposed without TLS, or if it requires a key and there is none.
pub(super) fn exposure(config: &Config, authenticator: &Authenticator) {
    if !config.listen.ip().is_loopback() && !config.http.behind_proxy {
        tracing::warn!(
            "{} accepts requests over a network without TLS, so others can read keys and events. \
             Put a proxy that terminates TLS in front and set http.behind_proxy = true, or listen \
             on 127.0.0.1",
            config.listen
        );
    }
    let has_no_key = authenticator.ingest.is_none() && authenticator.keyring.is_empty();
    if authenticator.open.is_none() && has_no_key {
        // The URL of a Redis may contain a password.
        let store = if app::is_redis(&config.store) { "redis://…" } else { &config.store };
        tracing::warn!(
            "there is no key yet, so the API answers only health checks. Create the first key with \
             `fanfare keys create --role operator --store {store}`"
        );
    }
}

/// Says that the server is ready, and writes its address to `ready_file`.
pub(super) async fn ready(
    app: &App,
    config: &Config,
    address: SocketAddr,
    ready_file: Option<&Path>,
) -> Result<(), Failure> {
    if config.development {
        let open = if config.is_local() && config.ingest.key.is_none() {
            ", and every user of this machine can use the API without a key"
        } else {
            ""
        };
        tracing::warn!(
            "DEVELOPMENT MODE: http:// and loopback receivers are allowed{open}. Never serve \
             customers in this mode"
        );
    }
    let tenants = app.store.directory.count().await?;
    let store = app.store.upkeep.kind();
    tracing::info!(store, tenants, "listening on http://{address}");
    if tenants == 0 {
        tracing::warn!(
            "there are no tenants yet; create them with --tenants, `fanfare apply`, or `fanfare \
             tenants create`"
        );
    }
    if let Some(path) = ready_file {
        std::fs::write(path, address.to_string())
            .with_context(|| format!("cannot write --ready-file {}", path.display()))?;
    }
    Ok(())
}
