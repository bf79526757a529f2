//! The Lua scripts. Each uses keys of one hash tag, except `enter`, which does not run in a
//! Cluster. They are sent by digest (EVALSHA) and loaded again when the server does not know them
//! (NOSCRIPT, after a restart, a failover or SCRIPT FLUSH).
//!
//! Some key names are made inside a script, such as the queue of a lane. They always have the same
//! base with the hash tag, so they are on the same node as the declared keys.

use std::sync::LazyLock;

use redis::{Cmd, Script};

macro_rules! scripts {
    ($($name:ident = $($file:literal)+;)+) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!($(include_str!(concat!("scripts/", $file, ".lua"))),+)));)+

        const SOURCES: &[&str] = &[$(concat!($(include_str!(concat!("scripts/", $file, ".lua"))),+)),+];
    };
}

scripts! {
    ACK = "ack";
    ADMIT = "admit";
    ALL = "all";
    BACKLOG = "backlog";
    COUNTS = "page" "counts";
    DUE = "due";
    ENTER = "enter";
    ERASE = "refresh" "erase";
    FAILING = "failing";
    FORGET = "forget";
    FORGET_TENANT = "forget_tenant";
    INHERIT = "inherit";
    LANE = "refresh" "lane";
    LOOK = "page" "look";
    PEEK = "peek";
    PUT = "bump" "put";
    RECORD_GET = "record" "record_get";
    RECORD_LIST = "record" "record_list";
    RECORD_PUT = "bump" "record" "record_put";
    RECORD_REMOVE = "bump" "record" "record_remove";
    REJECT = "reject";
    RELEASE = "refresh" "release";
    REMOVE = "bump" "remove";
    RENEW = "refresh" "renew";
    RESCHEDULE = "refresh" "reschedule";
    RETIRE = "retire";
    SETTLE = "settle";
    SETTLED = "settled";
    TAIL = "tail";
    TAKE = "refresh" "take";
    TALLY = "tally";
    TIDY = "tidy";
}

/// A call of `script` on `keys`; the caller adds the arguments.
pub(super) fn call(script: &Script, keys: &[&str]) -> Cmd {
    call_with(script, keys, 8, 256)
}

/// The same with room for the given number of arguments and bytes.
pub(super) fn call_with(script: &Script, keys: &[&str], arguments: usize, bytes: usize) -> Cmd {
    // Room for the digest of the script and for the keys.
    let mut cmd = Cmd::with_capacity(arguments + keys.len() + 3, bytes + 64 + 64 * keys.len());
    cmd.arg("EVALSHA");
    cmd.arg(script.get_hash()).arg(keys.len());
    for key in keys {
        cmd.arg(*key);
    }
    cmd
}

/// The commands that load all scripts.
pub(super) fn loads() -> impl Iterator<Item = Cmd> {
    SOURCES.iter().map(|source| {
        let mut cmd = redis::cmd("SCRIPT");
        cmd.arg("LOAD").arg(*source);
        cmd
    })
}
