//! The Lua scripts. Each uses keys of one hash tag, except `enter`, which does not run in a
//! Cluster. They are sent by digest (EVALSHA). When the server does not know one (NOSCRIPT, after a
//! restart, a failover or SCRIPT FLUSH), the commands are sent once more with the scripts
//! themselves (EVAL), which also teaches them to the server.
//!
//! Scripts that begin with `always.lua` also run when Redis is at its `maxmemory`: they keep leases
//! and heartbeats alive, and record what was sent, which needs little memory or frees some.
//!
//! Some key names are made inside a script, such as the queue of a lane. They always have the same
//! base with the hash tag, so they are on the same node as the declared keys.

use std::collections::HashMap;
use std::sync::LazyLock;

use redis::{Arg, Cmd, Script};

macro_rules! scripts {
    ($($name:ident = $($file:literal)+;)+) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!($(include_str!(concat!("scripts/", $file, ".lua"))),+)));)+

        /// The text of each script.
        pub(super) const SOURCES: &[&str] = &[$(concat!($(include_str!(concat!("scripts/", $file, ".lua"))),+)),+];
    };
}

scripts! {
    ACK = "always" "ack";
    ADMIT = "usage" "index" "admit";
    BACKLOG = "always" "usage" "backlog";
    BEAT = "always" "beat";
    CHANGED = "feed" "changed";
    COUNTS = "page" "outcome" "counts";
    DUE = "outcome" "due";
    ENTER = "usage" "index" "enter";
    ERASE = "refresh" "usage" "outcome" "index" "erase";
    EVENT = "outcome" "event";
    FAILING = "always" "failing";
    FIND = "find";
    FORGET = "forget";
    FORGET_TENANT = "index" "forget_tenant";
    INDEXED = "indexed";
    INHERIT = "always" "inherit";
    LANE = "always" "refresh" "usage" "outcome" "rollup" "lane";
    LIST = "list";
    LOOK = "page" "outcome" "look";
    RELINE = "always" "refresh" "outcome" "reline";
    ORPHANS = "always" "orphans";
    PACE = "always" "pace";
    PEEK = "peek";
    PUT = "bump" "feed" "note" "put";
    RECORD_GET = "record" "record_get";
    RECORD_LIST = "record" "record_list";
    RECORD_PUT = "bump" "record" "record_put";
    RECORD_REMOVE = "bump" "record" "record_remove";
    REJECT = "reject";
    RELEASE = "always" "refresh" "release";
    REMOVE = "bump" "feed" "note" "remove";
    RENEW = "always" "refresh" "renew";
    RENEW_STREAM = "renew_stream";
    RESCHEDULE = "always" "refresh" "reschedule";
    RETIRE = "always" "retire";
    SETTLE = "usage" "rollup" "settle";
    SETTLED = "settled";
    TAIL = "outcome" "tail";
    TRIMMED = "trimmed";
    TAKE = "always" "refresh" "take";
    TALLY = "tally";
    THERE = "there";
    TIDY = "always" "usage" "outcome" "index" "tidy";
    TIME = "time";
    UNSETTLED = "always" "unsettled";
    USAGE = "usage" "usage_get";
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

/// The scripts by their digest.
static BY_DIGEST: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    SOURCES.iter().map(|source| (Script::new(source).get_hash().to_owned(), *source)).collect()
});

/// The same command with the script itself in place of its digest. Any other command is unchanged.
pub(super) fn whole(cmd: &Cmd) -> Cmd {
    let args: Vec<&[u8]> = cmd
        .args_iter()
        .filter_map(|arg| if let Arg::Simple(bytes) = arg { Some(bytes) } else { None })
        .collect();
    let source = match args[..] {
        [b"EVALSHA", digest, ..] => {
            std::str::from_utf8(digest).ok().and_then(|digest| BY_DIGEST.get(digest))
        }
        _ => None,
    };
    let Some(source) = source else { return cmd.clone() };
    let bytes = args[2..].iter().map(|arg| arg.len()).sum::<usize>();
    let mut whole = Cmd::with_capacity(args.len(), bytes + source.len());
    whole.arg("EVAL").arg(*source).arg(&args[2..]);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_sent_whole_with_the_same_keys_and_arguments() {
        let mut cmd = call(&ACK, &["stream", "account"]);
        cmd.arg("group").arg("1-0");
        let whole = whole(&cmd);
        let args: Vec<_> = whole.args_iter().skip(2).collect();
        let expected: Vec<_> = cmd.args_iter().skip(2).collect();
        assert_eq!(args, expected);
        assert!(whole.args_iter().next() == Some(Arg::Simple(b"EVAL")));
        let mut other = redis::cmd("SET");
        other.arg("a").arg(1);
        assert_eq!(super::whole(&other).get_packed_command(), other.get_packed_command());
    }
}
