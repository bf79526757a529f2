//! A Redis Cluster.

use super::Redis;
use crate::PATIENCE;
use crate::ports::free_port;
use crate::wait::until;

/// Slots of a Cluster.
const SLOTS: u16 = 16_384;

/// Three masters of a Redis Cluster, and replicas where asked for.
pub struct Cluster {
    /// The masters that it began with.
    pub masters: Vec<Redis>,
    /// Replicas that were added.
    pub replicas: Vec<Redis>,
}

impl Cluster {
    /// Starts three masters that share the slots, and waits until all of them see it so.
    pub fn start() -> Self {
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
    pub fn add_replica_of(&mut self, master: usize) {
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
    pub fn owner(&self, key: &str) -> usize {
        let slot: u16 = self.masters[0].ask(&["CLUSTER", "KEYSLOT", key]);
        usize::from(slot / (SLOTS / 3 + 1))
    }

    /// `redis+cluster://…` with all masters.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.masters.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// For a client of one's own.
    pub fn nodes(&self) -> Vec<String> {
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
