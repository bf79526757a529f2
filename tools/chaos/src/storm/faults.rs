//! What is done to routers and to the store. Each fault ends by itself before the next one begins.

use std::time::Duration;

use anyhow::{Context as _, Result};
use fanfare_harness::Redis;

use super::{World, dice, model};
use crate::StoreKind;
use crate::fleet::PATIENCE;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9` of a router, which starts again.
    Kill,
    /// A router stops where it is for a while, longer than its lease or not.
    Freeze,
    /// SIGTERM, and it starts again.
    Restart,
    /// A lane's line disappears from the agenda.
    LoseLine,
    /// Somebody reads the whole database for a while.
    HoldReader,
    /// Somebody else writes for a while.
    HoldWriter,
    /// `kill -9` of Redis, which starts again.
    KillRedis,
    /// All connections are closed.
    CloseAll,
    /// Redis accepts no connection for a while.
    NoClients,
    /// The password is wrong for a while.
    NoPassword,
    /// No memory for a while.
    Full,
    /// Every command waits.
    Pause,
    /// The server forgets its scripts.
    FlushScripts,
    /// A replica's consumer is removed.
    RemoveConsumer,
    /// The consumer group is removed.
    RemoveGroup,
    /// An entry whose id lies an hour ahead.
    Ahead,
}

const EMBEDDED: [Fault; 7] = [
    Fault::Kill,
    Fault::Kill,
    Fault::Freeze,
    Fault::Restart,
    Fault::LoseLine,
    Fault::HoldReader,
    Fault::HoldWriter,
];

const REDIS: [Fault; 14] = [
    Fault::Kill,
    Fault::Kill,
    Fault::Freeze,
    Fault::Restart,
    Fault::LoseLine,
    Fault::KillRedis,
    Fault::CloseAll,
    Fault::NoClients,
    Fault::NoPassword,
    Fault::Full,
    Fault::Pause,
    Fault::FlushScripts,
    Fault::RemoveConsumer,
    Fault::RemoveGroup,
];

impl Fault {
    /// Fault number `number` of a seed. Now and then an entry of the future comes first.
    pub(crate) fn of(seed: u64, number: u64, store: StoreKind) -> Self {
        if store == StoreKind::Redis && dice(seed, "ahead", number, 0, 25) == 0 {
            return Self::Ahead;
        }
        let all: &[Self] = match store {
            StoreKind::Embedded => &EMBEDDED,
            StoreKind::Redis => &REDIS,
        };
        let place = dice(seed, "fault", number, 1, all.len() as u64);
        all[usize::try_from(place).unwrap_or(0)]
    }

    /// Whether an outcome may not be on record, or a lease may end, so that a delivery comes again.
    pub(crate) fn explains_duplicates(self) -> bool {
        !matches!(self, Self::LoseLine | Self::HoldReader | Self::FlushScripts | Self::Ahead)
    }

    /// Does it. Returns what was done.
    pub(crate) async fn strike(self, world: &mut World, number: u64) -> Result<String> {
        let roll = |what: &str, below: u64| dice(world.storm.seed, what, number, 2, below);
        let place = usize::try_from(roll("place", world.routers.len() as u64)).unwrap_or(0);
        let time = Duration::from_millis(200 + roll("time", 1_300));
        match self {
            Self::Kill => kill(world, place).await?,
            Self::Freeze => {
                let long = time + Duration::from_millis(roll("longer", 2) * 2_500);
                freeze(world, place, long).await;
                return Ok(format!("freeze of router {place} for {long:.1?}"));
            }
            Self::Restart => restart(world, place).await?,
            Self::LoseLine => lose_line(world).await?,
            Self::HoldReader => hold(world, "BEGIN; SELECT count(*) FROM events", time).await?,
            Self::HoldWriter => hold(world, "BEGIN IMMEDIATE", time).await?,
            Self::KillRedis => {
                let redis = world.fleet.redis.as_mut().context("no Redis")?;
                redis.kill9();
                tokio::time::sleep(time).await;
                redis.restart_async().await?;
            }
            Self::CloseAll => ask(world, &[&["CLIENT", "KILL", "TYPE", "normal"]]).await?,
            Self::NoClients => {
                let shut: Words = &[
                    &["CONFIG", "SET", "maxclients", "1"],
                    &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
                ];
                during(world, shut, &[&["CONFIG", "SET", "maxclients", "10000"]], time).await?;
            }
            Self::NoPassword => {
                let shut: Words = &[
                    &["CONFIG", "SET", "requirepass", "x"],
                    &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
                ];
                during(world, shut, &[&["CONFIG", "SET", "requirepass", ""]], time).await?;
            }
            Self::Full => {
                let shut: Words = &[&["CONFIG", "SET", "maxmemory", "1mb"]];
                during(world, shut, &[&["CONFIG", "SET", "maxmemory", "0"]], time).await?;
            }
            Self::Pause => {
                let millis = time.as_millis().to_string();
                ask(world, &[&["CLIENT", "PAUSE", &millis, "ALL"]]).await?;
                tokio::time::sleep(time).await;
            }
            Self::FlushScripts => ask(world, &[&["SCRIPT", "FLUSH"]]).await?,
            Self::RemoveConsumer => remove_consumer(world, number).await?,
            Self::RemoveGroup => {
                ask(world, &[&["XGROUP", "DESTROY", "fanfare:events", "fanfare"]]).await?;
            }
            Self::Ahead => ahead(world, number).await?,
        }
        Ok(format!("{self:?}"))
    }
}

type Words<'a> = &'a [&'a [&'a str]];

async fn kill(world: &mut World, place: usize) -> Result<()> {
    if let Some(mut router) = world.routers[place].take() {
        world.tell_addresses();
        router.kill9();
    }
    world.revive(place).await
}

async fn freeze(world: &mut World, place: usize, time: Duration) {
    if let Some(router) = &mut world.routers[place] {
        router.freeze();
        tokio::time::sleep(time).await;
        router.thaw();
    }
}

async fn restart(world: &mut World, place: usize) -> Result<()> {
    if let Some(mut router) = world.routers[place].take() {
        world.tell_addresses();
        router.sigterm();
        router.stop_async(PATIENCE).await?;
    }
    world.revive(place).await
}

/// Removes one lane from the agenda, as a mishap would.
async fn lose_line(world: &World) -> Result<()> {
    if let Some(redis) = &world.fleet.redis {
        let mut connection = connection(redis).await?;
        let script = "for _, key in ipairs(redis.call('KEYS', 'fanfare:{s*}:a:storm')) do \
                      local lanes = redis.call('ZRANGE', key, 0, 0) \
                      if lanes[1] then redis.call('ZREM', key, lanes[1]) end end return 1";
        let _: redis::Value =
            redis::cmd("EVAL").arg(script).arg(0).query_async(&mut connection).await?;
        return Ok(());
    }
    database(world, |conn| {
        conn.execute(
            "DELETE FROM agenda WHERE lane_id IN (SELECT lane_id FROM agenda WHERE token IS NULL \
             ORDER BY lane_id LIMIT 1)",
            [],
        )?;
        Ok(())
    })
    .await
}

async fn hold(world: &World, sql: &'static str, time: Duration) -> Result<()> {
    database(world, move |conn| {
        conn.execute_batch(sql)?;
        std::thread::sleep(time);
        conn.execute_batch("ROLLBACK")?;
        Ok(())
    })
    .await
}

/// Works on the router's database beside it.
async fn database(
    world: &World,
    work: impl FnOnce(&rusqlite::Connection) -> Result<()> + Send + 'static,
) -> Result<()> {
    let path = world.fleet.data().join("fanfare.db");
    let work = move || {
        let conn = rusqlite::Connection::open(path)?;
        conn.busy_timeout(Duration::from_secs(20))?;
        work(&conn)
    };
    tokio::task::spawn_blocking(work).await.context("work on the database panicked")?
}

async fn connection(redis: &Redis) -> Result<redis::aio::MultiplexedConnection> {
    let client = redis::Client::open(redis.url())?;
    let config = redis::AsyncConnectionConfig::new()
        .set_response_timeout(Some(Duration::from_secs(20)))
        .set_connection_timeout(Some(Duration::from_secs(20)));
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

async fn run(connection: &mut redis::aio::MultiplexedConnection, all: Words<'_>) -> Result<()> {
    for words in all {
        let mut cmd = redis::Cmd::new();
        for word in *words {
            cmd.arg(*word);
        }
        // A server that has just closed all connections has still done it.
        let _: redis::RedisResult<redis::Value> = cmd.query_async(connection).await;
    }
    Ok(())
}

async fn ask(world: &World, all: Words<'_>) -> Result<()> {
    let redis = world.fleet.redis.as_ref().context("no Redis")?;
    run(&mut connection(redis).await?, all).await
}

/// Does something, waits, and undoes it over the same connection, which stays.
async fn during(world: &World, shut: Words<'_>, open: Words<'_>, time: Duration) -> Result<()> {
    let redis = world.fleet.redis.as_ref().context("no Redis")?;
    let mut connection = connection(redis).await?;
    run(&mut connection, shut).await?;
    tokio::time::sleep(time).await;
    run(&mut connection, open).await
}

/// Removes the consumer of a replica, whatever it has pending.
async fn remove_consumer(world: &World, number: u64) -> Result<()> {
    let redis = world.fleet.redis.as_ref().context("no Redis")?;
    let mut connection = connection(redis).await?;
    let mut cmd = redis::cmd("XINFO");
    cmd.arg("CONSUMERS").arg("fanfare:events").arg("fanfare");
    let consumers: redis::RedisResult<Vec<std::collections::HashMap<String, redis::Value>>> =
        cmd.query_async(&mut connection).await;
    // Without a group there is no consumer.
    let Ok(consumers) = consumers else { return Ok(()) };
    let names: Vec<String> = consumers
        .into_iter()
        .filter_map(|mut one| redis::from_redis_value(one.remove("name")?).ok())
        .collect();
    let place = dice(world.storm.seed, "consumer", number, 0, names.len() as u64);
    let Some(name) = usize::try_from(place).ok().and_then(|place| names.get(place)) else {
        return Ok(());
    };
    run(&mut connection, &[&["XGROUP", "DELCONSUMER", "fanfare:events", "fanfare", name]]).await
}

/// A producer adds an event with an id of its own, an hour ahead. All later ids follow it.
async fn ahead(world: &World, number: u64) -> Result<()> {
    let n = world.model.events() + u32::try_from(number).unwrap_or(0);
    let redis = world.fleet.redis.as_ref().context("no Redis")?;
    let mut connection = connection(redis).await?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let id = format!("{}-{number}", (now + Duration::from_hours(1)).as_millis());
    let mut cmd = redis::cmd("XADD");
    cmd.arg("fanfare:events").arg(id).arg("tenant").arg(model::STORM);
    cmd.arg("event").arg(model::event(model::STORM, n));
    let added: redis::RedisResult<String> = cmd.query_async(&mut connection).await;
    // A second one may be behind the first.
    if added.is_ok() {
        world.model.accept(model::STORM, &[n]);
    }
    Ok(())
}
