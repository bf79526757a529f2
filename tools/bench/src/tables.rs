//! The tenant files that the router under test gets.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::peers::message::{SECRET, TENANT};

/// The types of the ten routes. The first is the type of the measured event.
const KINDS: [&str; 10] = [
    "session.processed",
    "session.created",
    "watchlist.hit",
    "job.done",
    "job.failed",
    "session.expired",
    "document.added",
    "document.refused",
    "account.closed",
    "report.ready",
];

/// A tenant with `count` webhooks to the sink, all of which get every event.
pub(crate) fn webhooks(tenant: &str, sink: SocketAddr, count: usize) -> String {
    let mut table = head(tenant);
    for n in 0..count {
        webhook(&mut table, n, sink);
    }
    let all: Vec<_> = (0..count).map(|n| format!("\"hook-{n}\"")).collect();
    let _ = write!(table, "[[route]]\nevents = [\"kyc.session.*\"]\nto = [{}]\n", all.join(", "));
    table
}

/// A tenant with a webhook that has a rate.
pub(crate) fn with_rate(tenant: &str, sink: SocketAddr, rate: &str) -> String {
    let mut table = head(tenant);
    let _ = write!(
        table,
        "[[destination]]\nid = \"hook-0\"\nchannel = \"webhook\"\nurl = \"http://{sink}/hooks/0\"\n\
         secret = \"{SECRET}\"\nrate = \"{rate}\"\n\n\
         [[route]]\nevents = [\"kyc.session.*\"]\nto = [\"hook-0\"]\n"
    );
    table
}

/// A tenant with ten routes of different types to a webhook each. One of them matches.
pub(crate) fn ten_routes(tenant: &str, sink: SocketAddr) -> String {
    let mut table = head(tenant);
    for (n, kind) in KINDS.iter().enumerate() {
        webhook(&mut table, n, sink);
        let _ = write!(table, "[[route]]\nevents = [\"kyc.{kind}\"]\nto = [\"hook-{n}\"]\n\n");
    }
    table
}

/// A tenant whose events all go to a webhook, to Slack and by email.
pub(crate) fn mixed(sink: SocketAddr) -> String {
    let mut table = head(TENANT);
    webhook(&mut table, 0, sink);
    let _ = write!(
        table,
        "[[destination]]\nid = \"chat\"\nchannel = \"slack\"\n\
         url = \"http://{sink}/slack/services/T000/B000/XXXX\"\nrate = false\n\n"
    );
    mail(&mut table);
    table.push_str(
        "[[route]]\nevents = [\"kyc.session.*\"]\nto = [\"hook-0\", \"chat\", \"mail\"]\n",
    );
    table
}

/// A tenant whose events all go by email to one address.
pub(crate) fn one_address() -> String {
    let mut table = head(TENANT);
    mail(&mut table);
    table.push_str("[[route]]\nevents = [\"kyc.session.*\"]\nto = [\"mail\"]\n");
    table
}

fn head(tenant: &str) -> String {
    format!("[tenant]\nid = \"{tenant}\"\nname = \"Measured\"\n\n")
}

fn webhook(table: &mut String, n: usize, sink: SocketAddr) {
    let _ = write!(
        table,
        "[[destination]]\nid = \"hook-{n}\"\nchannel = \"webhook\"\n\
         url = \"http://{sink}/hooks/{n}\"\nsecret = \"{SECRET}\"\n\n"
    );
}

fn mail(table: &mut String) {
    table.push_str(
        "[[destination]]\nid = \"mail\"\nchannel = \"email\"\nto = [\"jane@example.com\"]\n\
         rate = false\n\n",
    );
}
