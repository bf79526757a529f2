//! What every run is made of: a folder with a store, a tenant and settings, and routers on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fanfare_harness::{Fanfare, Launch, Redis, programs, usage};

use crate::StoreKind;

/// How long a router may take to be ready or to stop on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What is run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The binary under test.
    pub fanfare: PathBuf,
    /// A `redis-server`.
    pub redis_server: PathBuf,
}

impl Programs {
    /// The given ones; the others are those that the harness finds.
    pub fn find(fanfare: Option<PathBuf>, redis_server: Option<PathBuf>) -> Result<Self> {
        Ok(Self {
            fanfare: fanfare.map_or_else(programs::fanfare, Ok)?,
            redis_server: redis_server.map_or_else(|| programs::require("redis-server"), Ok)?,
        })
    }
}

/// A store and what routers need to serve from it.
pub(crate) struct Fleet {
    /// The server, if the store is in Redis.
    pub(crate) redis: Option<Redis>,
    launch: Launch,
    dir: PathBuf,
    program: PathBuf,
}

impl Fleet {
    /// Prepares `dir` with the tenant and the settings, and starts Redis if need be. Redis writes and
    /// syncs before it answers.
    pub(crate) async fn set_up(
        programs: &Programs,
        store: StoreKind,
        dir: &Path,
        tenant: &str,
        settings: &str,
    ) -> Result<Self> {
        // Routers are started in another folder.
        let dir = std::path::absolute(dir)?;
        let (tenants, config) = (dir.join("tenants"), dir.join("fanfare.toml"));
        std::fs::create_dir_all(&tenants)?;
        std::fs::write(tenants.join("tenant.toml"), tenant)?;
        std::fs::write(&config, settings)?;
        let redis = match store {
            StoreKind::Embedded => None,
            StoreKind::Redis => {
                let launch = Redis::launch_with(&Redis::DURABLE).dir(&dir.join("redis"));
                Some(launch.program(&programs.redis_server).start_async().await?)
            }
        };
        let at = redis.as_ref().map_or_else(|| data(&dir).display().to_string(), Redis::url);
        let launch = Fanfare::serve(at, &tenants).arg("--config").arg(config);
        let launch = launch.arg("--log-format").arg("text");
        let program = programs.fanfare.clone();
        Ok(Self { redis, launch: launch.binary(&programs.fanfare).within(PATIENCE), dir, program })
    }

    /// Starts router number `place`. Its log goes on where the one before it ended.
    pub(crate) async fn start(&self, place: usize) -> Result<Fanfare> {
        let launch = self.launch.clone().logs(&self.dir, &format!("router-{place}"));
        launch.start_async().await
    }

    /// The store, as `--store` names it.
    pub(crate) fn address(&self) -> String {
        self.redis.as_ref().map_or_else(|| self.data().display().to_string(), Redis::url)
    }

    /// The binary under test.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The folder of logs and data.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of the embedded store.
    pub(crate) fn data(&self) -> PathBuf {
        data(&self.dir)
    }

    /// What Redis uses of memory for data, in bytes.
    pub(crate) async fn redis_memory(redis: &Redis) -> Result<u64> {
        let client = redis::Client::open(redis.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(line.context("INFO has no used_memory")?.trim().parse()?)
    }
}

fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// The most memory that a router had so far, in KiB.
pub(crate) fn peak_kib(router: &Fanfare) -> u64 {
    usage::peak_kib(router.id()).unwrap_or(0)
}

/// The memory that a router has now, in KiB.
pub(crate) fn resident_kib(router: &Fanfare) -> u64 {
    usage::resident_kib(router.id()).unwrap_or(0)
}
