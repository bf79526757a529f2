//! What happens, decided before it happens: every event, its destinations, and every fault, all by
//! hashing the seed. The same seed makes the same load and the same faults; only time differs.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use fanfare_receivers::Reply;

/// The tenant that everything belongs to.
pub(crate) const TENANT: &str = "chaos";

/// Of every destination; here nobody verifies.
pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// After so many faults in a row a delivery is taken: every schedule is longer.
const MOST_FAULTS: u32 = 20;
/// Of so many events one goes to a destination that fails.
const ONE_IN: u64 = 20;

/// One destination of the tenant.
pub(crate) struct Site {
    /// Its id.
    pub(crate) id: &'static str,
    /// Further keys of its table in the tenant's file.
    pub(crate) options: &'static str,
    /// What it does wrong.
    pub(crate) fault: Fault,
}

/// What a receiver does wrong; in per mille of its requests.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing. It gets every event.
    None,
    /// It answers, but so.
    Answers(Bad, u64),
    /// It takes its time with every answer.
    Slow(Duration),
    /// It is down for the first part of every period, and refuses everything.
    Outage {
        /// From one outage to the next.
        period: Duration,
        /// How long each lasts.
        down: Duration,
    },
}

/// A bad answer.
#[derive(Clone, Copy)]
pub(crate) enum Bad {
    ServerError,
    TooMany,
    Redirect,
    Reset,
    Hang,
    /// 200, then a body a byte at a time, for ever.
    Drip,
    /// 200, then a body of 4 GiB.
    Huge,
    /// 200, then half of the body that was announced.
    Cut,
}

/// The destinations. The first gets every event; each of the others one in [`ONE_IN`].
pub(crate) const SITES: [Site; 12] = [
    Site { id: "steady", options: "", fault: Fault::None },
    Site { id: "error", options: "", fault: Fault::Answers(Bad::ServerError, 200) },
    Site { id: "throttle", options: "", fault: Fault::Answers(Bad::TooMany, 10) },
    Site { id: "redirect", options: "", fault: Fault::Answers(Bad::Redirect, 200) },
    Site { id: "reset", options: "", fault: Fault::Answers(Bad::Reset, 100) },
    Site { id: "hang", options: "timeout = \"5s\"\n", fault: Fault::Answers(Bad::Hang, 5) },
    Site { id: "drip", options: "", fault: Fault::Answers(Bad::Drip, 10) },
    Site { id: "huge", options: "", fault: Fault::Answers(Bad::Huge, 50) },
    Site { id: "cut", options: "", fault: Fault::Answers(Bad::Cut, 200) },
    Site {
        id: "slow",
        options: "concurrency = 6\n",
        fault: Fault::Slow(Duration::from_millis(100)),
    },
    Site {
        id: "outage",
        options: "",
        fault: Fault::Outage { period: Duration::from_secs(30), down: Duration::from_secs(6) },
    },
    Site { id: "fifo", options: "fifo = true\n", fault: Fault::Answers(Bad::ServerError, 20) },
];

/// Everything that follows from the seed.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) events: u32,
}

/// What a receiver does with one request.
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    /// Does it take the delivery?
    pub(crate) takes: bool,
}

impl Plan {
    /// A number from 0 below `below`, always the same for the same things.
    pub(crate) fn dice(&self, what: &str, one: u64, two: u64, below: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, what, one, two).hash(&mut hasher);
        hasher.finish() % below.max(1)
    }

    /// The places in [`SITES`] where event `n` must arrive.
    pub(crate) fn sites(&self, n: u32) -> impl Iterator<Item = usize> {
        let seed = *self;
        (0..SITES.len()).filter(move |&site| {
            site == 0 || seed.dice("goes to", n.into(), site as u64, ONE_IN) == 0
        })
    }

    /// How many deliveries there must be in all.
    pub(crate) fn deliveries(&self) -> usize {
        (0..self.events).map(|n| self.sites(n).count()).sum()
    }

    /// Event `n`, as a producer writes it.
    pub(crate) fn event(&self, n: u32) -> String {
        let to: Vec<_> = self.sites(n).map(|site| format!("\"{}\"", SITES[site].id)).collect();
        let size = self.dice("size", n.into(), 0, 400);
        let filler = "x".repeat(usize::try_from(size).unwrap_or_default());
        format!(
            "{{\"id\":\"{}\",\"type\":\"chaos.happened\",\"created\":1735228800,\
             \"data\":{{\"n\":{n},\"to\":[{}],\"filler\":\"{filler}\"}}}}",
            event_id(n),
            to.join(","),
        )
    }

    /// What `site` does with the `tries`th request (from 0) of event `n`, `at` after the start.
    pub(crate) fn answer(&self, site: usize, n: u32, tries: u32, at: Duration) -> Answer {
        let refuses = |status| Answer { reply: Reply::Status(status), takes: false };
        match SITES[site].fault {
            Fault::None => takes(Reply::Status(200)),
            Fault::Slow(by) => takes(Reply::After(by, Box::new(Reply::Status(200)))),
            Fault::Outage { period, down } => {
                let within = Duration::from_millis(
                    u64::try_from(at.as_millis() % period.as_millis()).unwrap_or_default(),
                );
                if within < down { refuses(500) } else { takes(Reply::Status(200)) }
            }
            Fault::Answers(bad, per_mille) => {
                let roll = self.dice("fault", n.into(), u64::from(tries) << 8 | site as u64, 1_000);
                if tries < MOST_FAULTS && roll < per_mille {
                    misbehave(bad)
                } else {
                    takes(Reply::Status(200))
                }
            }
        }
    }
}

fn misbehave(bad: Bad) -> Answer {
    let refuses = |reply| Answer { reply, takes: false };
    let full = |status, name: &str, value: &str| Reply::Full {
        status,
        headers: vec![(name.to_owned(), value.to_owned())],
        body: "no".into(),
    };
    match bad {
        Bad::ServerError => refuses(Reply::Status(500)),
        Bad::TooMany => refuses(full(429, "retry-after", "1")),
        Bad::Redirect => refuses(full(302, "location", FOLLOWED)),
        Bad::Reset => refuses(Reply::Reset),
        Bad::Hang => refuses(Reply::Hang),
        Bad::Drip => takes(Reply::DripForever),
        Bad::Huge => takes(Reply::HugeBody(4 << 30)),
        Bad::Cut => takes(Reply::CloseMidAnswer),
    }
}

/// The tenant's file.
pub(crate) fn tenant(url: impl Fn(usize) -> String) -> String {
    let retry = vec!["\"1s\""; 47].join(", ");
    let mut file = format!("[tenant]\nid = \"{TENANT}\"\nname = \"Chaos\"\n");
    for (place, site) in SITES.iter().enumerate() {
        let _ = write!(
            file,
            "\n[[destination]]\nid = \"{}\"\nchannel = \"webhook\"\nurl = \"{}\"\nsecret = \"{SECRET}\"\n\
             retry = [\"200ms\", \"500ms\", {retry}]\n{}",
            site.id,
            url(place),
            site.options,
        );
        let when = match place {
            0 => String::new(),
            _ => format!("when = {{ data = {{ to = [\"{}\"] }} }}\n", site.id),
        };
        let _ =
            write!(file, "\n[[route]]\nevents = [\"chaos.**\"]\n{when}to = [\"{}\"]\n", site.id);
    }
    file
}

/// Where redirects lead; nothing may come there.
pub(crate) const FOLLOWED: &str = "/followed";

fn takes(reply: Reply) -> Answer {
    Answer { reply, takes: true }
}

/// The id of event `n`.
pub(crate) fn event_id(n: u32) -> String {
    format!("evt_chaos{n:07}")
}

/// The number in an event's id.
pub(crate) fn number(id: &str) -> Option<u32> {
    id.strip_prefix("evt_chaos")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_load() {
        let plan = Plan { seed: 7, events: 500 };
        let again = Plan { seed: 7, events: 500 };
        let other = Plan { seed: 8, events: 500 };
        let all = |plan: &Plan| (0..500).map(|n| plan.event(n)).collect::<Vec<_>>();
        assert_eq!(all(&plan), all(&again));
        assert_ne!(all(&plan), all(&other));
        assert_eq!(number(&event_id(123)), Some(123));
    }

    #[test]
    fn every_event_has_a_destination_and_every_destination_has_events() {
        let plan = Plan { seed: 1, events: 1_000 };
        for site in 0..SITES.len() {
            assert!((0..1_000).any(|n| plan.sites(n).any(|to| to == site)), "{site}");
        }
        assert!((0..1_000).all(|n| plan.sites(n).next() == Some(0)));
    }

    #[test]
    fn no_delivery_is_refused_for_ever() {
        let plan = Plan { seed: 3, events: 200 };
        let late = Duration::from_secs(10);
        for n in 0..200 {
            for site in plan.sites(n) {
                assert!(plan.answer(site, n, MOST_FAULTS, late).takes);
            }
        }
    }
}
