//! The Lua scripts. Each touches keys of one hash tag only, but for `enter`, which is not for a
//! Cluster; sent by digest (EVALSHA), loaded again when the server does not know them (NOSCRIPT:
//! restart, failover, SCRIPT FLUSH).
//!
//! Some names are made inside a script (a lane's queue, for example): always from the same base
//! that holds the hash tag, so they live where the declared keys do.

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

/// The same with so many arguments to come, of about so many bytes in all.
pub(super) fn call_with(script: &Script, keys: &[&str], arguments: usize, bytes: usize) -> Cmd {
    // The script's digest, and about what keys take.
    let mut cmd = Cmd::with_capacity(arguments + keys.len() + 3, bytes + 64 + 64 * keys.len());
    cmd.arg("EVALSHA");
    cmd.arg(script.get_hash()).arg(keys.len());
    for key in keys {
        cmd.arg(*key);
    }
    cmd
}

/// The commands that make all scripts known to a server.
pub(super) fn loads() -> impl Iterator<Item = Cmd> {
    SOURCES.iter().map(|source| {
        let mut cmd = redis::cmd("SCRIPT");
        cmd.arg("LOAD").arg(*source);
        cmd
    })
}
