//! Redis servers that belong together: a Cluster, and a master with a replica and a Sentinel.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::PATIENCE;
use super::process::{Process, command, log_file, tail, until};
use super::redis::{Redis, free_port};
use super::tools::bin;

/// Slots of a Cluster.
const SLOTS: u16 = 16_384;

/// Three masters of a Redis Cluster, and replicas where asked for.
pub(crate) struct Cluster {
    /// The masters that it began with.
    pub(crate) masters: Vec<Redis>,
    /// Replicas that were added.
    pub(crate) replicas: Vec<Redis>,
}

impl Cluster {
    /// Starts three masters that share the slots, and waits until all of them see it so.
    pub(crate) fn start() -> Self {
        let masters: Vec<Redis> = (0..3).map(|_| node()).collect();
        for (n, master) in (0_u16..).zip(&masters) {
            let (first, last) = (n * (SLOTS / 3 + 1), ((n + 1) * (SLOTS / 3 + 1)).min(SLOTS) - 1);
            let (first, last) = (first.to_string(), last.to_string());
            master.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            let epoch = (n + 1).to_string();
            master.ask::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        let cluster = Self { masters, replicas: Vec::new() };
        cluster.masters[1..].iter().for_each(|node| cluster.meet(node));
        cluster.settle();
        cluster
    }

    /// Gives a master a replica, and waits until it follows.
    pub(crate) fn add_replica_of(&mut self, master: usize) {
        let replica = node();
        self.meet(&replica);
        let id: String = self.masters[master].ask(&["CLUSTER", "MYID"]);
        let follows = || replica.try_ask::<()>(&["CLUSTER", "REPLICATE", &id]).ok();
        until(PATIENCE, follows).expect("the replica gets to know its master");
        self.replicas.push(replica);
        let linked = || {
            let info: String = self.masters[master].ask(&["INFO", "replication"]);
            info.contains("state=online").then_some(())
        };
        until(PATIENCE, linked).expect("the replica follows");
        self.settle();
    }

    /// The place among the masters of the one that a key belongs to.
    pub(crate) fn owner(&self, key: &str) -> usize {
        let slot: u16 = self.masters[0].ask(&["CLUSTER", "KEYSLOT", key]);
        usize::from(slot / (SLOTS / 3 + 1))
    }

    /// `redis+cluster://…` with all masters.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> =
            self.masters.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// For a client of one's own.
    pub(crate) fn nodes(&self) -> Vec<String> {
        self.masters.iter().chain(&self.replicas).map(Redis::url).collect()
    }

    fn meet(&self, node: &Redis) {
        let bus: Vec<String> = node.ask(&["CONFIG", "GET", "cluster-port"]);
        let port = node.port().to_string();
        self.masters[0].ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus[1]]);
    }

    /// Waits until every node knows every other and all slots are served.
    fn settle(&self) {
        let nodes: Vec<&Redis> = self.masters.iter().chain(&self.replicas).collect();
        let known = format!("cluster_known_nodes:{}\r", nodes.len());
        for node in &nodes {
            let well = || {
                let info: String = node.ask(&["CLUSTER", "INFO"]);
                (info.contains("cluster_state:ok") && info.contains(&known)).then_some(())
            };
            until(PATIENCE, well).expect("the nodes find together");
        }
    }
}

fn node() -> Redis {
    let bus = free_port().to_string();
    let own = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    // A replica that is a moment behind may stand in, and the others go on without the dead one.
    let more = ["--cluster-node-timeout", "1500", "--cluster-replica-validity-factor", "0"];
    Redis::start_with(&[&own[..], &more[..], &Redis::DURABLE[..]].concat())
}

/// A master, a replica of it, and a Sentinel that replaces the one by the other.
pub(crate) struct Guarded {
    /// The first master.
    pub(crate) master: Redis,
    /// The first replica.
    pub(crate) replica: Redis,
    port: u16,
    sentinel: Process,
    dir: TempDir,
}

impl Guarded {
    /// What the Sentinel calls the master.
    pub(crate) const NAME: &str = "fanfare";

    /// Starts all three, and waits until the Sentinel knows the replica.
    pub(crate) fn start() -> Self {
        let master = Redis::start_durable();
        let of = format!("127.0.0.1 {}", master.port());
        let follow: Vec<&str> = ["--replicaof"].into_iter().chain(of.split(' ')).collect();
        let replica = Redis::start_with(&[&follow[..], &Redis::DURABLE[..]].concat());
        let dir = TempDir::new().expect("a temporary folder");
        let port = free_port();
        let name = Self::NAME;
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {name} {of} 1\n\
             sentinel down-after-milliseconds {name} 700\nsentinel failover-timeout {name} 3000\n",
            dir.path().display()
        );
        fs::write(dir.path().join("sentinel.conf"), settings).expect("our own folder");
        let mut program = command(&bin("redis-server"));
        program.arg(dir.path().join("sentinel.conf")).arg("--sentinel");
        program.stdin(Stdio::null()).stderr(Stdio::null());
        program.stdout(log_file(&dir.path().join("sentinel.log")));
        let sentinel = Process::spawn(program);
        let guarded = Self { master, replica, port, sentinel, dir };
        let ready = || {
            let known: redis::RedisResult<Vec<redis::Value>> =
                guarded.ask(&["SENTINEL", "REPLICAS", name]);
            known.ok().filter(|replicas| replicas.len() == 1).map(drop)
        };
        until(PATIENCE, ready).expect("the Sentinel finds the replica");
        guarded
    }

    /// `redis+sentinel://…`
    pub(crate) fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/{}", self.port, Self::NAME)
    }

    /// The port of the master, as the Sentinel tells clients.
    pub(crate) fn master_port(&self) -> u16 {
        let told: redis::RedisResult<(String, u16)> =
            self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME]);
        told.expect("the Sentinel answers").1
    }

    fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        let mut cmd = redis::Cmd::new();
        for word in words {
            cmd.arg(*word);
        }
        cmd.query(&mut connection)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if thread::panicking() {
            let running = self.sentinel.exited().is_none();
            let log = tail(&self.dir.path().join("sentinel.log"));
            eprintln!("sentinel on {} (running: {running}):\n{log}", self.port);
        }
    }
}
