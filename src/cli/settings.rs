//! The options that say which settings and which store.

use std::path::PathBuf;

use super::Failure;
use crate::app::{self, Purpose};
use crate::config::Config;
use fanfare_store::Store;

/// Options of every command that uses the store.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// Settings file; every key is in config/fanfare.toml
    #[arg(long, env = "FANFARE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A folder (embedded store) or redis://… [default: ./fanfare-data]
    #[arg(long, env = "FANFARE_STORE", value_name = "STORE", hide_env_values = true)]
    pub store: Option<String>,
}

impl Settings {
    /// The settings file with these options over it.
    pub fn load(&self) -> Result<Config, Failure> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(store) = &self.store {
            config.store.clone_from(store);
        }
        Ok(config)
    }

    /// Opens the store beside a running router. An embedded store that is not there is an error:
    /// looking must not create one.
    pub async fn open_existing(&self) -> Result<(Config, Store), Failure> {
        let config = self.load()?;
        if !app::is_redis(&config.store) && !PathBuf::from(&config.store).is_dir() {
            return Err(Failure::Unreachable(anyhow::anyhow!(
                "there is no store at {}; `fanfare apply` or `fanfare serve` makes one, or name \
                 another with --store",
                config.store
            )));
        }
        let store = app::open_store(&config, Purpose::Tool).await?;
        Ok((config, store))
    }

    /// Opens the store beside a running router; an embedded one is made if it is not there.
    pub async fn open(&self) -> Result<(Config, Store), Failure> {
        let config = self.load()?;
        let store = app::open_store(&config, Purpose::Tool).await?;
        Ok((config, store))
    }
}
