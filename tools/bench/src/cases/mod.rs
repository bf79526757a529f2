//! The cases: what each one starts, sends and measures.

mod arrivals;
mod drain;
mod limits;
mod live;
mod preload;
mod replicas;

use std::path::PathBuf;
use std::time::Duration;

use fanfare_harness::programs;

pub(crate) use preload::preload_stream;

use crate::report::Figures;
use drain::Shape;

/// A case by its name in the report.
pub(crate) struct Case {
    /// The name.
    pub(crate) name: &'static str,
    /// What it is, for the table.
    pub(crate) about: &'static str,
    pub(crate) needs: Needs,
    kind: Kind,
}

enum Kind {
    Hyper,
    Reqwest,
    Naive,
    Drain(Shape),
    Live,
    Fsync,
    Smtp,
    Email,
    Rest,
    Many,
    ReplicasRate,
}

/// Programs that a case needs and that this machine may lack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Redis,
    Postfix,
    RedisAndPostfix,
}

/// All cases, in the order in which they take turns.
pub(crate) const CASES: [Case; 17] = [
    case("limit_hyper", "raw hyper, 64 connections", Needs::Nothing, Kind::Hyper),
    case("limit_reqwest", "a reqwest loop, 64 connections", Needs::Nothing, Kind::Reqwest),
    case("limit_fsync", "100 writes a second to a file", Needs::Nothing, Kind::Fsync),
    case("limit_smtp", "smtp-source to smtp-sink", Needs::Postfix, Kind::Smtp),
    case("naive_redis", "XREADGROUP, sign, reqwest, XACK", Needs::Redis, Kind::Naive),
    case("drain_redis", "a waiting stream to one webhook", Needs::Redis, Kind::Drain(Shape::One)),
    case(
        "drain_embedded",
        "a waiting store to one webhook",
        Needs::Nothing,
        Kind::Drain(Shape::One),
    ),
    case("live_redis", "32 HTTP producers", Needs::Redis, Kind::Live),
    case("live_embedded", "32 HTTP producers", Needs::Nothing, Kind::Live),
    case("fanout_10", "one event to 10 webhooks", Needs::Redis, Kind::Drain(Shape::Ten)),
    case(
        "tenants_1000",
        "1,000 tenants, 10 routes each",
        Needs::Redis,
        Kind::Drain(Shape::Tenants),
    ),
    case(
        "mixed",
        "webhook, Slack and email, a third each",
        Needs::Redis,
        Kind::Drain(Shape::Mixed),
    ),
    case("email", "a waiting stream to one address", Needs::RedisAndPostfix, Kind::Email),
    case("replicas_rate", "three replicas, a webhook with 5/s", Needs::Redis, Kind::ReplicasRate),
    case("rest_redis", "nothing to do", Needs::Redis, Kind::Rest),
    case("rest_embedded", "nothing to do", Needs::Nothing, Kind::Rest),
    case("tenants_100k", "100,000 tenants: start, memory, changes", Needs::Redis, Kind::Many),
];

const fn case(name: &'static str, about: &'static str, needs: Needs, kind: Kind) -> Case {
    Case { name, about, needs, kind }
}

impl Needs {
    /// The first program that this machine lacks.
    pub(crate) fn missing(self) -> Option<&'static str> {
        let redis = matches!(self, Self::Redis | Self::RedisAndPostfix);
        let postfix = matches!(self, Self::Postfix | Self::RedisAndPostfix);
        if redis && programs::find("redis-server").is_none() {
            return Some("redis-server");
        }
        (postfix && crate::mail::postfix().is_none()).then_some("smtp-source and smtp-sink")
    }
}

/// What all cases of one measurement share.
pub(crate) struct Setup {
    /// The router under test.
    pub(crate) fanfare: PathBuf,
    /// How much each case sends.
    pub(crate) sizes: Sizes,
}

/// How much each case sends.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Webhooks that arrive, whatever the number of events behind them.
    pub(crate) deliveries: usize,
    /// Deliveries of `mixed`.
    pub(crate) mixed: usize,
    /// Mails of `limit_smtp` and `email`.
    pub(crate) mails: usize,
    /// Tenants of `tenants_1000` and of the second half of `rest_*`.
    pub(crate) tenants: usize,
    /// Tenants of `tenants_100k`: all, in the two sets of files, and those that send.
    pub(crate) many: Many,
    /// Deliveries of `replicas_rate`, five in a second.
    pub(crate) paced: usize,
    /// Seconds of the closed loop.
    pub(crate) live_s: f64,
    /// Seconds of an open loop, before its factor in [`RATES`].
    pub(crate) open_s: f64,
}

/// Tenants of `tenants_100k`.
#[derive(Clone, Copy)]
pub(crate) struct Many {
    /// In the store in the end.
    pub(crate) tenants: usize,
    /// In the first set of files, and in the second.
    pub(crate) files: [usize; 2],
    /// That send an event each.
    pub(crate) active: usize,
    /// Changes, one after the other.
    pub(crate) changes: usize,
    /// Seconds for which a replica follows 50 changes a second.
    pub(crate) follow_s: u32,
}

impl Sizes {
    pub(crate) const FULL: Self = Self {
        deliveries: 100_000,
        mixed: 6_000,
        mails: 20_000,
        tenants: 1_000,
        many: Many {
            tenants: 100_000,
            files: [1_000, 20_000],
            active: 10_000,
            changes: 300,
            follow_s: 20,
        },
        paced: 150,
        live_s: 20.0,
        open_s: 5.0,
    };
    pub(crate) const QUICK: Self = Self {
        deliveries: 2_000,
        mixed: 300,
        mails: 300,
        tenants: 20,
        many: Many { tenants: 100, files: [15, 40], active: 20, changes: 5, follow_s: 1 },
        paced: 15,
        live_s: 0.5,
        open_s: 0.5,
    };
}

/// Longest time for a case. After it something is lost.
pub(crate) const LONGEST: Duration = Duration::from_mins(5);
/// Open loops: events a second, and a factor for the time. At 100/s the time is doubled: of 500
/// events the fifth slowest alone would be the 99th percentile.
const RATES: [(&str, f64); 2] = [("100", 2.0), ("1000", 1.0)];
/// Between two looks at the sink, which notes the times itself.
const LOOK: Duration = Duration::from_millis(10);

impl Case {
    pub(crate) async fn run(&self, setup: &Setup) -> anyhow::Result<Figures> {
        match &self.kind {
            Kind::Hyper => limits::hyper(setup.sizes).await,
            Kind::Reqwest => limits::reqwest(setup.sizes).await,
            Kind::Fsync => limits::fsync(setup.sizes).await,
            Kind::Naive => limits::naive(setup.sizes).await,
            Kind::Drain(shape) if self.on_redis() => drain::redis(*shape, setup).await,
            Kind::Drain(_) => drain::embedded(setup).await,
            Kind::Live => live::run(self.on_redis(), setup).await,
            Kind::Smtp => crate::mail::limit(setup.sizes.mails).await,
            Kind::Email => crate::mail::drain(setup).await,
            Kind::ReplicasRate => replicas::rate_of_three(setup).await,
            Kind::Rest => crate::rest::rest(self.on_redis(), setup).await,
            Kind::Many => crate::many::run(setup).await,
        }
    }

    fn on_redis(&self) -> bool {
        self.needs != Needs::Nothing
    }
}
