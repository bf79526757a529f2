//! Clocks that step and differ, under the real router: what was set by hand changes no time that
//! Fanfare waits, and machines whose clocks differ share the work as if they did not.
//!
//! A small library in front of libc adds what a file says to the wall clock of one process. Elapsed
//! time stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::crash::Counter;
use crate::scene::{SOON, Scene, numbered};
use crate::support::{Fanfare, Launch, Redis, until};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static int (*real)(clockid_t, struct timespec *);

static long long ahead_ms(void) {
    static _Thread_local int busy;
    long long ahead = 0;
    const char *path = getenv("FANFARE_TEST_CLOCK");
    if (!path || busy) return 0;
    busy = 1;
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%lld", &ahead) != 1) ahead = 0;
        fclose(file);
    }
    busy = 0;
    return ahead;
}

int clock_gettime(clockid_t id, struct timespec *time) {
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(id, time);
    if (answer == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        long long ahead = ahead_ms();
        time->tv_sec += ahead / 1000;
    }
    return answer;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int answer = clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return answer;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"#;

/// A wall clock that can be set.
struct WallClock {
    library: PathBuf,
    file: PathBuf,
}

impl WallClock {
    fn new(dir: &Path, name: &str) -> Self {
        let (source, library) = (dir.join("shim.c"), dir.join(format!("{name}.so")));
        fs::write(&source, SHIM).expect("the scene's own folder");
        let mut cc = Command::new("cc");
        let built =
            cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        assert!(built.status().expect("a C compiler").success());
        let clock = Self { library, file: dir.join(format!("{name}.ahead")) };
        clock.set(0);
        clock
    }

    fn set(&self, ahead_ms: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, ahead_ms.to_string()).expect("the scene's own folder");
        fs::rename(new, &self.file).expect("one file system");
    }

    fn under(&self, launch: Launch) -> Fanfare {
        let launch = launch.env("LD_PRELOAD", &self.library);
        launch.env("FANFARE_TEST_CLOCK", &self.file).start()
    }
}

#[test]
fn a_clock_that_steps_by_a_day_or_a_year_erases_delays_and_repeats_nothing() {
    let counter = Counter::fickle(2);
    let scene = Scene::embedded();
    scene.settings("retention = \"1h\"\n");
    let table = format!("{}\n", counter.table().replace("channel =", "fifo = true\nchannel ="));
    scene.tenant("acme", &table);
    let clock = WallClock::new(&scene.path(""), "clock");
    let router = clock.under(scene.launch());
    let mut sent = 0;
    for ahead in [0, -DAY_MS, 366 * DAY_MS, -2_000, 60_000, -HOUR_MS, 0] {
        clock.set(ahead);
        thread::sleep(Duration::from_secs(1));
        let events = numbered(sent + 12);
        let began = Instant::now();
        for event in &events[sent..] {
            assert_eq!(router.post("/v1/events?tenant=acme", event).status, 202, "{ahead}");
        }
        sent += 12;
        // Half of them are refused once, so their retries wait for half a second.
        counter.wait_for(sent, SOON);
        assert!(began.elapsed() < SOON, "{ahead}: {:?}", began.elapsed());
    }
    // Nothing of it was erased by a clock a year ahead, so an id that comes again is known.
    thread::sleep(Duration::from_secs(6));
    for event in &numbered(sent) {
        assert_eq!(router.post("/v1/events?tenant=acme", event).status, 202);
    }
    let deliveries = scene.settled("acme", sent);
    assert!(deliveries.iter().all(|one| one["state"] == "delivered"));
    expect_each_once(&counter, sent, 2);
    assert!(counter.order().is_sorted_by_key(|id| number(id)), "the log's order");
}

/// No event came more often than its receiver asked for: one in `one_in` is refused once.
fn expect_each_once(counter: &Counter, events: usize, one_in: u32) {
    let is_refused = |n: &usize| {
        let sum = format!("evt_{n}").bytes().map(u32::from).sum::<u32>();
        sum.is_multiple_of(one_in)
    };
    let refused = (0..events).filter(is_refused).count();
    assert_eq!(counter.duplicates(), refused, "sent again without a reason");
}

fn number(id: &str) -> usize {
    id.strip_prefix("evt_").and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn replicas_whose_clocks_differ_by_hours_share_the_work_and_send_nothing_twice() {
    const EVENTS: usize = 60;
    let redis = Redis::start_durable();
    let counter = Counter::fickle(3);
    let scene = Scene::on(&redis);
    scene.settings("[redis]\ndead_after = \"3s\"\n[router]\nlease = \"3s\"\n");
    scene.tenant("acme", &counter.table());
    let (fast, slow) =
        (WallClock::new(&scene.path(""), "fast"), WallClock::new(&scene.path(""), "slow"));
    fast.set(HOUR_MS);
    slow.set(-HOUR_MS / 2);
    let (one, mut two) = (fast.under(scene.launch()), slow.under(scene.launch()));
    for (n, event) in numbered(EVENTS).iter().enumerate() {
        let router = if n % 2 == 0 { &one } else { &two };
        assert_eq!(router.post("/v1/events?tenant=acme", event).status, 202);
        if n == EVENTS / 2 {
            // Both step while they work.
            fast.set(-HOUR_MS);
            slow.set(HOUR_MS);
        }
    }
    counter.wait_for(EVENTS, SOON);
    scene.settled("acme", EVENTS);
    expect_each_once(&counter, EVENTS, 3);
    // What the dead one held goes on soon, whatever its clock said.
    two.kill9();
    let more = numbered(EVENTS + 20);
    for event in &more[EVENTS..] {
        assert_eq!(one.post("/v1/events?tenant=acme", event).status, 202);
    }
    counter.wait_for(EVENTS + 20, SOON);
    let audit = || (scene.run(&["audit"]).code == Some(0)).then_some(());
    until(SOON, audit).expect("everything is accounted for");
}
