//! Checks a live server for everything that Fanfare needs of it: the commands that the user may run,
//! durability, memory, connections, replicas, the Cluster, the clock, and what the keys hold.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::connection::Batch;
use super::facts::{durability, info, settings};
use super::keys::{SHARDS, Tag};
use super::{Core, reply, script};
use crate::{Check, Ms, Result, StoreError, steady};

/// Connections of one Fanfare server, those for `wait_replicas` included.
const CONNECTIONS: u64 = 4 + 8;
/// A clock that is further off is reported.
const CLOCK_OFF_MS: Ms = 1_000;
/// A round trip that takes longer is reported.
const SLOW: Duration = Duration::from_millis(10);
/// Round trips that are measured.
const ROUND_TRIPS: usize = 15;
/// Parts of `maxmemory` in use, in percent, from which on it is reported.
const MEMORY_HIGH: (u64, u64) = (75, 95);
/// Managed servers often refuse it, and Fanfare works without it.
const OPTIONAL: [&str; 1] = ["CONFIG"];

/// Every command that Fanfare sends or its scripts call, with arguments that change nothing but the
/// given keys, which do not exist before and after.
const COMMANDS: &[(&str, &[&str])] = &[
    ("PING", &[]),
    ("TIME", &[]),
    ("INFO", &["server"]),
    ("CONFIG", &["GET", "appendfsync"]),
    ("WAIT", &["0", "1"]),
    ("SCAN", &["0", "MATCH", "KEY", "COUNT", "1"]),
    ("SET", &["KEY", "1", "PX", "60000"]),
    ("GET", &["KEY"]),
    ("EXISTS", &["KEY"]),
    ("PEXPIRE", &["KEY", "60000"]),
    ("EXPIRE", &["KEY", "60"]),
    ("INCR", &["KEY"]),
    ("INCRBY", &["KEY", "1"]),
    ("APPEND", &["KEY", "1"]),
    ("DEL", &["KEY"]),
    ("UNLINK", &["KEY"]),
    ("HSET", &["KEY", "a", "1"]),
    ("HSETNX", &["KEY", "a", "1"]),
    ("HGET", &["KEY", "a"]),
    ("HMGET", &["KEY", "a"]),
    ("HGETALL", &["KEY"]),
    ("HKEYS", &["KEY"]),
    ("HLEN", &["KEY"]),
    ("HSTRLEN", &["KEY", "a"]),
    ("HEXISTS", &["KEY", "a"]),
    ("HINCRBY", &["KEY", "a", "1"]),
    ("HDEL", &["KEY", "a"]),
    ("SADD", &["KEY", "a"]),
    ("SMEMBERS", &["KEY"]),
    ("SREM", &["KEY", "a"]),
    ("ZADD", &["KEY", "1", "a"]),
    ("ZCARD", &["KEY"]),
    ("ZCOUNT", &["KEY", "-inf", "+inf"]),
    ("ZSCORE", &["KEY", "a"]),
    ("ZMSCORE", &["KEY", "a"]),
    ("ZRANK", &["KEY", "a"]),
    ("ZREVRANK", &["KEY", "a"]),
    ("ZRANGE", &["KEY", "0", "0"]),
    ("ZREVRANGE", &["KEY", "0", "0"]),
    ("ZRANGEBYLEX", &["KEY", "-", "+", "LIMIT", "0", "1"]),
    ("ZRANGEBYSCORE", &["KEY", "-inf", "+inf", "LIMIT", "0", "1"]),
    ("ZREVRANGEBYSCORE", &["KEY", "+inf", "-inf", "LIMIT", "0", "1"]),
    ("ZREMRANGEBYSCORE", &["KEY", "5", "6"]),
    ("ZREM", &["KEY", "a"]),
    ("ZPOPMIN", &["KEY"]),
    ("XADD", &["KEY", "NOMKSTREAM", "*", "a", "1"]),
    ("XGROUP", &["CREATE", "KEY", "check", "0", "MKSTREAM"]),
    ("XLEN", &["KEY"]),
    ("XRANGE", &["KEY", "-", "+", "COUNT", "1"]),
    ("XINFO", &["STREAM", "KEY"]),
    ("XREADGROUP", &["GROUP", "check", "check", "COUNT", "1", "STREAMS", "KEY", ">"]),
    ("XPENDING", &["KEY", "check"]),
    ("XCLAIM", &["KEY", "check", "check", "0", "0-1"]),
    ("XACK", &["KEY", "check", "0-1"]),
    ("XDEL", &["KEY", "0-1"]),
    ("XGROUP", &["DELCONSUMER", "KEY", "check", "check"]),
    ("DEL", &["KEY"]),
    ("EVAL", &["return 1", "1", "KEY"]),
    ("EVALSHA", &["0000000000000000000000000000000000000000", "1", "KEY"]),
];

/// Checks everything. What cannot be asked is itself a finding.
pub(super) async fn run(core: &Core, prefix: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    let info = match info(&core.link).await {
        Ok(info) => info,
        Err(error) => return vec![Check::problem("server", error.to_string())],
    };
    checks.push(server(&info));
    checks.push(commands(core, prefix).await);
    checks.push(stream(core).await);
    checks.extend(durable(&info, &settings(core).await));
    checks.push(memory(&info));
    checks.push(connections(&info));
    checks.push(replicas(core, &info));
    checks.push(shards(core).await);
    checks.extend(clock(core).await);
    checks
}

fn server(info: &HashMap<String, String>) -> Check {
    let fact = |name: &str| info.get(name).map_or("unknown", String::as_str);
    let (version, mode, role) = (fact("redis_version"), fact("redis_mode"), fact("role"));
    let found = format!("Redis {version}, {mode}, {role}");
    if role == "slave" {
        let advice = "; it takes no writes. Name the master, or let Sentinel find it";
        return Check::problem("server", found + advice);
    }
    Check::good("server", found)
}

/// Runs every command that Fanfare needs.
async fn commands(core: &Core, prefix: &str) -> Check {
    // One tag, so that it is one node of a Cluster.
    let key = format!("{prefix}:{{up}}:check:{}", core.replica);
    let (mut refused, mut missing) = (Vec::new(), Vec::new());
    for (name, args) in COMMANDS {
        let mut cmd = Cmd::new();
        cmd.arg(*name);
        for arg in *args {
            cmd.arg(if *arg == "KEY" { &key } else { *arg });
        }
        let Err(fault) = core.link.run_once(&Batch::one(Tag::Alone, cmd)).await else { continue };
        let text = fault.error.to_string();
        if OPTIONAL.contains(name) || refused.contains(name) || missing.contains(name) {
            continue;
        }
        if matches!(fault.error, StoreError::Denied { .. }) {
            refused.push(*name);
        } else if text.contains("unknown command") {
            missing.push(*name);
        }
    }
    match (refused.is_empty(), missing.is_empty()) {
        (true, true) => Check::good("commands", "every command that Fanfare needs is allowed"),
        (false, _) => Check::problem(
            "commands",
            format!(
                "the user may not run {}; give it the permissions in docs/redis.md",
                refused.join(", ")
            ),
        ),
        (true, false) => Check::problem(
            "commands",
            format!("the server does not have {}; use another server", missing.join(", ")),
        ),
    }
}

/// Whether producers and this user can append, and what is in the stream.
async fn stream(core: &Core) -> Check {
    let name = &core.keys.stream;
    let mut add = redis::cmd("XADD");
    add.arg(&**name).arg("NOMKSTREAM").arg("0-0").arg("a").arg("1");
    // The id 0-0 is never valid: a user who may append gets that answer.
    if let Err(fault) = core.link.run_once(&Batch::one(Tag::Stream, add)).await
        && matches!(fault.error, StoreError::Denied { .. })
    {
        let found = format!("the user may not append to {name}; give it the key in its ACL");
        return Check::problem("stream", found);
    }
    let mut length = redis::cmd("XLEN");
    length.arg(&**name);
    match core.link.ask(Tag::Stream, length).await.and_then(|answer| reply::count(&answer)) {
        Ok(count) => Check::good("stream", format!("{name} has {count} entries to be settled")),
        Err(error) => Check::problem("stream", error.to_string()),
    }
}

fn durable(info: &HashMap<String, String>, settings: &HashMap<String, String>) -> Vec<Check> {
    let found = durability(info, settings);
    if found.is_empty() {
        return vec![Check::good("durability", "appendonly yes, appendfsync always, noeviction")];
    }
    let loses = |text: &String| {
        ["keeps nothing", "snapshots only", "may evict", "has evicted", "could not write"]
            .iter()
            .any(|part| text.contains(part))
    };
    let check = |text: String| {
        if loses(&text) {
            Check::problem("durability", text)
        } else {
            Check::warning("durability", text)
        }
    };
    found.into_iter().map(check).collect()
}

fn memory(info: &HashMap<String, String>) -> Check {
    let number = |name: &str| info.get(name).and_then(|value| value.parse::<u64>().ok());
    let used = number("used_memory").unwrap_or(0);
    let mib = |bytes: u64| bytes >> 20;
    let (most, what) = match number("maxmemory") {
        Some(most) if most > 0 => (most, "maxmemory"),
        _ => {
            let found = format!(
                "{} MiB are used and maxmemory is not set: when the memory of the machine ends, the \
                 system kills Redis. Set maxmemory to about three quarters of it",
                mib(used)
            );
            return Check::warning("memory", found);
        }
    };
    let percent = used.saturating_mul(100) / most;
    let found = format!("{} of {} MiB ({what}) are used", mib(used), mib(most));
    let advice = "; raise maxmemory or shorten the retention";
    if percent >= MEMORY_HIGH.1 {
        Check::problem("memory", found + advice)
    } else if percent >= MEMORY_HIGH.0 {
        Check::warning("memory", found + advice)
    } else {
        Check::good("memory", found)
    }
}

fn connections(info: &HashMap<String, String>) -> Check {
    let number = |name: &str| info.get(name).and_then(|value| value.parse::<u64>().ok());
    let (Some(most), Some(used)) = (number("maxclients"), number("connected_clients")) else {
        return Check::good("connections", "the server does not report its limit");
    };
    let left = most.saturating_sub(used);
    let found = format!("{used} of {most} clients are connected");
    if left < CONNECTIONS {
        let advice = format!("; a Fanfare server needs up to {CONNECTIONS} more: raise maxclients");
        return Check::problem("connections", found + &advice);
    }
    Check::good("connections", found)
}

fn replicas(core: &Core, info: &HashMap<String, String>) -> Check {
    let count = info.get("connected_slaves").and_then(|count| count.parse::<usize>().ok());
    let (count, wanted) = (count.unwrap_or(0), core.link.wanted_replicas());
    let found = format!("{count} replicas are connected, and wait_replicas is {wanted}");
    if count < wanted {
        let advice = "; new events are refused until more replicas are connected";
        return Check::problem("replicas", found + advice);
    }
    if count > 0 && wanted == 0 {
        let advice = "; a failover can lose events that were accepted, so set wait_replicas to 1";
        return Check::warning("replicas", found + advice);
    }
    Check::good("replicas", found)
}

/// Whether every hash tag can be read and written, on whichever node it is.
async fn shards(core: &Core) -> Check {
    for shard in 0..SHARDS {
        let key = core.keys.base(shard) + "check";
        let mut cmd = redis::cmd("SET");
        cmd.arg(&key).arg("1").arg("PX").arg(1_000);
        if let Err(error) = core.link.ask(Tag::Shard(shard), cmd).await {
            let found = format!("the keys of shard {shard} cannot be written: {error}");
            return Check::problem("shards", found);
        }
    }
    Check::good("shards", format!("all {SHARDS} can be written"))
}

async fn clock(core: &Core) -> Vec<Check> {
    let mut trips = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        match off_by(core).await {
            Ok(off) => trips.push((began.elapsed(), off)),
            Err(error) => return vec![Check::problem("clock", error.to_string())],
        }
    }
    trips.sort_unstable();
    let (took, off) = trips[trips.len() / 2];
    let found = format!("a round trip takes {:.1} ms", took.as_secs_f64() * 1_000.0);
    let round_trip = if took > SLOW {
        let advice = "; keep Redis in the same data center as its servers";
        Check::warning("round trip", found + advice)
    } else {
        Check::good("round trip", found)
    };
    let found = format!("the clock of Redis and of this machine differ by {} ms", off.abs());
    let clock = if off.abs() > CLOCK_OFF_MS {
        let advice = "; synchronize both. Signatures carry this machine's time, everything else \
                      follows Redis's clock";
        Check::warning("clock", found + advice)
    } else {
        Check::good("clock", found)
    };
    vec![round_trip, clock]
}

async fn off_by(core: &Core) -> Result<Ms> {
    let cmd = script::call(&script::TIME, &[&core.keys.probe()]);
    let answer = core.link.ask(Tag::Replicas, cmd).await?;
    let mut parts = reply::array(answer)?.into_iter();
    let mut next = || reply::int(&parts.next().unwrap_or(Value::Nil));
    let (seconds, micros) = (next()?, next()?);
    Ok(seconds * 1_000 + micros / 1_000 - steady::wall_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_scripts_is_checked() {
        for source in script::SOURCES {
            for part in source.split("redis.call('").chain(source.split("redis.pcall('")).skip(1) {
                let Some((name, _)) = part.split_once('\'') else { continue };
                if name.bytes().all(|byte| byte.is_ascii_uppercase()) {
                    let is_known = COMMANDS.iter().any(|(known, _)| *known == name);
                    assert!(is_known, "{name} is not checked");
                }
            }
        }
    }

    fn facts(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_finding_says_what_to_do() {
        use crate::Verdict::{Good, Problem, Warning};
        let full = facts(&[("used_memory", "990"), ("maxmemory", "1000")]);
        assert_eq!(memory(&full).verdict, Problem);
        assert_eq!(memory(&facts(&[("used_memory", "9")])).verdict, Warning);
        let roomy = facts(&[("used_memory", "9"), ("maxmemory", "1000")]);
        assert_eq!(memory(&roomy).verdict, Good);
        let crowded = facts(&[("maxclients", "20"), ("connected_clients", "15")]);
        assert_eq!(connections(&crowded).verdict, Problem);
        assert_eq!(server(&facts(&[("role", "slave")])).verdict, Problem);
        let kept = durable(&facts(&[]), &facts(&[("save", "")]));
        assert_eq!(kept[0].verdict, Problem);
        let second = facts(&[("aof_enabled", "1"), ("maxmemory_policy", "noeviction")]);
        let everysec = durable(&second, &facts(&[("appendfsync", "everysec")]));
        assert_eq!(everysec[0].verdict, Warning);
    }
}
