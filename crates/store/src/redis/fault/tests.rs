//! The table of errors: what each answer of a server says something about.

use redis::{RedisError, Value};

use super::Fault;
use crate::StoreError;

/// What the router does after an error.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Waits until the server can be used, and repeats the call.
    Away,
    Full,
    ReadOnly,
    Denied,
    /// Sets this one item aside.
    Data,
}

fn verdict(error: &StoreError) -> Verdict {
    match error {
        StoreError::Away { .. } => Verdict::Away,
        StoreError::Full(_) => Verdict::Full,
        StoreError::ReadOnly(_) => Verdict::ReadOnly,
        StoreError::Denied { .. } => Verdict::Denied,
        error if error.is_about_data() => Verdict::Data,
        error => panic!("not in the table: {error}"),
    }
}

/// As it comes over the wire.
fn fault(line: &str) -> Fault {
    let wire = format!("-{line}\r\n");
    match redis::parse_redis_value(wire.as_bytes()) {
        Ok(Value::ServerError(error)) => Fault::read("host:6379", RedisError::from(error)),
        Err(error) => Fault::read("host:6379", error),
        Ok(other) => panic!("not an error: {other:?}"),
    }
}

/// The words of Redis 7.0, and what they mean.
const TABLE: &[(&str, Verdict)] = &[
    ("ERR max number of clients reached", Verdict::Away),
    ("ERR max number of clients + cluster connections reached", Verdict::Away),
    ("NOAUTH Authentication required.", Verdict::Denied),
    ("WRONGPASS invalid username-password pair or user is disabled.", Verdict::Denied),
    ("NOPERM User fan has no permissions to run the 'xadd' command", Verdict::Denied),
    (
        "ERR ACL failure in script: User fan has no permissions to access one of the keys used as \
         arguments script: 9f, on @user_script:7.",
        Verdict::Denied,
    ),
    ("OOM command not allowed when used memory > 'maxmemory'.", Verdict::Full),
    (
        "OOM command not allowed when used memory > 'maxmemory'. script: 9f, on @user_script:7.",
        Verdict::Full,
    ),
    ("READONLY You can't write against a read only replica.", Verdict::ReadOnly),
    (
        "READONLY You can't write against a read only replica. script: 9f, on @user_script:7.",
        Verdict::ReadOnly,
    ),
    (
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist \
         to disk.",
        Verdict::ReadOnly,
    ),
    ("MISCONF Errors writing to the AOF file: No space left on device", Verdict::Full),
    ("LOADING Redis is loading the dataset in memory", Verdict::Away),
    ("MASTERDOWN Link with MASTER is down", Verdict::Away),
    ("NOREPLICAS Not enough good replicas to write.", Verdict::Away),
    ("CLUSTERDOWN The cluster is down", Verdict::Away),
    ("CROSSSLOT Keys in request don't hash to the same slot", Verdict::Away),
    ("TRYAGAIN Multiple keys request during rehashing of slot", Verdict::Away),
    ("MOVED 3999 127.0.0.1:6381", Verdict::Away),
    ("ASK 3999 127.0.0.1:6381", Verdict::Away),
    ("NOSCRIPT No matching script. Please use EVAL.", Verdict::Away),
    ("NOGROUP No such key 'fanfare:events' or consumer group 'fanfare'", Verdict::Away),
    ("BUSY Redis is busy running a script. You can only call SCRIPT KILL.", Verdict::Away),
    (
        "UNKILLABLE Sorry the script already executed write commands against the dataset.",
        Verdict::Away,
    ),
    ("UNBLOCKED force unblock from blocking operation, instance state changed", Verdict::Away),
    ("ERR Protocol error: invalid bulk length", Verdict::Away),
    ("ERR unknown command 'EVALSHA', with args beginning with: ", Verdict::Away),
    (
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        Verdict::Away,
    ),
    (
        "ERR The stream has exhausted the last possible ID, unable to add more items script: 9f, \
         on @user_script:7.",
        Verdict::Away,
    ),
    (
        "ERR Script attempted to access a non local key in a cluster node script: 9f, on \
         @user_script:7.",
        Verdict::Away,
    ),
    ("ERR Script killed by user with SCRIPT KILL. script: 9f, on @user_script:7.", Verdict::Away),
    ("ERR something that no version has said yet", Verdict::Away),
    ("NEWCODE something that no version has said yet", Verdict::Away),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", Verdict::Data),
    (
        "WRONGTYPE Operation against a key holding the wrong kind of value script: 9f, on \
         @user_script:7.",
        Verdict::Data,
    ),
    (
        "ERR user_script:12: attempt to compare number with nil script: 9f, on @user_script:12.",
        Verdict::Data,
    ),
    ("ERR value is not an integer or out of range", Verdict::Data),
    ("ERR string exceeds maximum allowed size (proto-max-bulk-len)", Verdict::Data),
];

#[test]
fn only_an_error_of_the_data_sets_an_event_aside() {
    for (line, expected) in TABLE {
        let found = fault(line).error;
        assert_eq!(verdict(&found), *expected, "{line}: {found}");
    }
}

#[test]
fn a_lost_connection_and_an_unreadable_answer_mean_away() {
    for kind in [
        std::io::ErrorKind::ConnectionReset,
        std::io::ErrorKind::BrokenPipe,
        std::io::ErrorKind::TimedOut,
        std::io::ErrorKind::UnexpectedEof,
    ] {
        let fault = Fault::read("host:6379", RedisError::from(std::io::Error::from(kind)));
        assert_eq!((verdict(&fault.error), fault.hang_up), (Verdict::Away, true), "{kind:?}");
    }
    let garbled = redis::parse_redis_value(b"%what\r\n").unwrap_err();
    assert_eq!(verdict(&Fault::read("host:6379", garbled).error), Verdict::Away);
}

#[test]
fn a_connection_that_was_not_let_in_is_closed() {
    for line in [
        "ERR max number of clients reached",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "READONLY You can't write against a read only replica.",
        "ERR Protocol error: invalid bulk length",
    ] {
        assert!(fault(line).hang_up, "{line}");
    }
    assert!(!fault("OOM command not allowed when used memory > 'maxmemory'.").hang_up);
}
