//! Opens the store that the settings name: a folder or a Redis server.

use std::path::Path;

use super::channels::secret_fields;
use crate::config::Config;
use crate::secrets::{self, KeyPolicy, Secrets};
use crate::tenant::file::process_env;
use fanfare_store::{SearchPaths, Store, StoreError, embedded, redis};

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To route events: of an embedded store, this process is the only one that does.
    Route,
    /// To read, or to change tenants, beside a running router.
    Tool,
}

/// The file of the master key that an embedded store creates in its folder.
pub(crate) const OWN_KEY: &str = "master.key";

/// Whether this address is a Redis server rather than a folder.
pub fn is_redis(store: &str) -> bool {
    let store = store.to_ascii_lowercase();
    ["redis:", "rediss:", "redis+", "rediss+", "unix:"].iter().any(|s| store.starts_with(s))
}

/// Opens the store that `config.store` names. Secrets are encrypted in it.
pub async fn open_store(config: &Config, purpose: Purpose) -> fanfare_store::Result<Store> {
    Ok(open_sealed(config, purpose).await?.0)
}

/// Like [`open_store`], and returns what manages the secrets.
pub async fn open_sealed(
    config: &Config,
    purpose: Purpose,
) -> fanfare_store::Result<(Store, Secrets)> {
    let keys = secrets::configured(config.secrets.key_file.as_deref(), &process_env);
    let keys = keys.map_err(|error| StoreError::Secrets(error.to_string()))?;
    let store = open_raw(config, purpose).await?;
    let own_file = (!is_redis(&config.store)).then(|| Path::new(&config.store).join(OWN_KEY));
    let policy = KeyPolicy {
        serves: purpose == Purpose::Route,
        development: config.development,
        own_file: own_file.as_deref(),
    };
    Secrets::set_up(store, keys, secret_fields, policy).await
}

/// Opens the store without its secrets: for what does not read tenants' documents.
pub async fn open_unsealed(config: &Config, purpose: Purpose) -> fanfare_store::Result<Store> {
    open_raw(config, purpose).await
}

async fn open_raw(config: &Config, purpose: Purpose) -> fanfare_store::Result<Store> {
    let paths: Vec<String> = config.search.paths.iter().map(ToString::to_string).collect();
    let search = SearchPaths::new(&paths).map_err(|wrong| StoreError::Other {
        message: format!("`paths` under [search] {wrong}"),
        source: None,
    })?;
    if is_redis(&config.store) {
        let options = redis::Options {
            stream: config.redis.stream.clone(),
            group: config.redis.group.clone(),
            prefix: config.redis.prefix.clone(),
            dead_after: config.redis.dead_after.0,
            retention: config.retention.0,
            keep_rollups: config.stats_retention.0,
            search,
            wait_replicas: config.redis.wait_replicas,
            wait_timeout: config.redis.wait_timeout.0,
            ..redis::Options::new(config.store.clone())
        };
        return redis::open(options).await;
    }
    let role = match purpose {
        Purpose::Route => embedded::Role::Router,
        Purpose::Tool => embedded::Role::Tool,
    };
    let options = embedded::Options { role, readers: 2 };
    embedded::open_indexed(Path::new(&config.store), options, search)
}
