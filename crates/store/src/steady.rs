//! The wall clock as the router uses it: it advances with elapsed time, so a clock that is set
//! forward or back erases, delays and repeats nothing.
//!
//! The process reads the wall clock once and then counts elapsed time, including the time that the
//! machine sleeps. It is compared with a reference every quarter of a second: the machine's wall
//! clock or, with Redis, Redis's clock, so that all replicas have one time.
//!
//! | the reference is | what happens |
//! | --- | --- |
//! | up to ten minutes ahead | this clock runs up to a quarter faster until it agrees |
//! | behind | this clock runs a tenth slower until it agrees; it never goes back |
//! | further ahead | that is a jump: it is logged, and followed once it has lasted for a minute |

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::{Ms, Upkeep};

/// How often this clock is compared with its reference.
const COMPARE_EVERY: Duration = Duration::from_millis(250);
/// How often Redis is asked for its time.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// An answer that took longer says too little.
const ANSWER_WITHIN_MS: Ms = 250;
/// A difference that is not corrected: answers take their time.
const EXACT_MS: Ms = 5;
/// A larger difference is a jump.
const JUMP_MS: Ms = 10 * 60 * 1_000;
/// How long a jump must last before it is followed.
const JUMP_LASTS_MS: Ms = 60_000;

/// What the clock is ahead of the elapsed time.
static AHEAD_MS: LazyLock<AtomicI64> = LazyLock::new(|| AtomicI64::new(wall_ms() - elapsed_ms()));
static STEPS: AtomicU64 = AtomicU64::new(0);
static STEPPED: Notify = Notify::const_new();

/// Unix milliseconds, by elapsed time.
pub fn now_ms() -> Ms {
    elapsed_ms() + AHEAD_MS.load(Ordering::Relaxed)
}

/// Unix milliseconds of the machine's wall clock, for what other machines compare with theirs, such
/// as the timestamp of a signature.
pub fn wall_ms() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ms::try_from(since.as_millis()).unwrap_or(Ms::MAX / 2)
}

/// How often the clock has followed a jump. Times from before and after one cannot be compared.
pub fn steps() -> u64 {
    STEPS.load(Ordering::Acquire)
}

/// Waits until the clock has followed a jump.
pub async fn stepped() {
    STEPPED.notified().await;
}

/// Elapsed time since some moment, also while the machine sleeps.
#[cfg(target_os = "linux")]
fn elapsed_ms() -> Ms {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    now.map_or(0, |now| now.tv_sec() * 1_000 + now.tv_nsec() / 1_000_000)
}

/// Elapsed time since some moment.
#[cfg(not(target_os = "linux"))]
fn elapsed_ms() -> Ms {
    static BEGAN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    Ms::try_from(BEGAN.elapsed().as_millis()).unwrap_or(Ms::MAX / 2)
}

/// Sets the clock to the store's own clock, if that is another machine's. To be called once, before
/// anything is scheduled.
pub async fn begin(store: &dyn Upkeep) {
    for _ in 0..5 {
        if let Some(off) = off_by(store).await {
            AHEAD_MS.fetch_add(off, Ordering::AcqRel);
            if off.abs() > 1_000 {
                tracing::warn!(
                    seconds = off / 1_000,
                    "this machine's clock differs from Redis's clock; Redis's clock counts"
                );
            }
            return;
        }
    }
}

/// Keeps the clock close to its reference, forever.
pub async fn keep(store: &dyn Upkeep) {
    let mut discipline = Discipline::default();
    let mut tick = tokio::time::interval(COMPARE_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut asked, mut reference) = (None::<Ms>, None);
    loop {
        tick.tick().await;
        let ask_every = Ms::try_from(ASK_EVERY.as_millis()).unwrap_or(0);
        if asked.is_none_or(|asked| elapsed_ms() - asked >= ask_every) {
            asked = Some(elapsed_ms());
            reference = off_by(store).await;
        }
        let Some(off) = reference.or_else(|| is_local(store).then(|| wall_ms() - now_ms())) else {
            continue;
        };
        let change = discipline.change(off, elapsed_ms());
        AHEAD_MS.fetch_add(change, Ordering::AcqRel);
        reference = reference.map(|off| off - change);
        if change > JUMP_MS {
            STEPS.fetch_add(1, Ordering::AcqRel);
            STEPPED.notify_waiters();
        }
    }
}

fn is_local(store: &dyn Upkeep) -> bool {
    store.kind() != "redis"
}

/// By how much the store's own clock is ahead of this one. `None` if it has none, or is away, or
/// takes long to answer.
async fn off_by(store: &dyn Upkeep) -> Option<Ms> {
    let asked = elapsed_ms();
    let time = store.time().await.ok()??;
    let took = elapsed_ms() - asked;
    (took <= ANSWER_WITHIN_MS).then(|| time - (now_ms() - took / 2))
}

/// Decides how a difference to the reference is corrected.
#[derive(Default)]
struct Discipline {
    last: Option<Ms>,
    jump: Option<Jump>,
}

/// The reference is far away from this clock.
#[derive(Clone, Copy)]
struct Jump {
    by: Ms,
    since: Ms,
}

impl Discipline {
    /// By how much to move the clock now. `off` is what the reference is ahead, and `at` is elapsed
    /// time.
    fn change(&mut self, off: Ms, at: Ms) -> Ms {
        let since = (at - self.last.replace(at).unwrap_or(at)).clamp(0, 1_000);
        if off.abs() > JUMP_MS {
            return self.far_off(off, at, since);
        }
        if self.jump.take().is_some() {
            tracing::info!("the clock is back");
        }
        if off.abs() <= EXACT_MS {
            return 0;
        }
        off.clamp(-(since / 10), since / 4)
    }

    fn far_off(&mut self, off: Ms, at: Ms, since: Ms) -> Ms {
        let jump = match self.jump {
            Some(jump) if (jump.by - off).abs() <= JUMP_MS => jump,
            _ => {
                tracing::warn!(
                    seconds = off / 1_000,
                    "the clock has jumped; times are counted from before until this has lasted for \
                     a minute"
                );
                Jump { by: off, since: at }
            }
        };
        self.jump = Some(jump);
        if off < 0 {
            return -(since / 10);
        }
        if at - jump.since < JUMP_LASTS_MS {
            return 0;
        }
        self.jump = None;
        tracing::warn!(seconds = off / 1_000, "the jump of the clock is followed");
        off
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Ms = 24 * 3_600_000;

    /// Runs for some seconds, with a reference that is `off` ahead of elapsed time at each moment.
    /// Returns what the clock is ahead at the end, and its largest and smallest step.
    fn run(discipline: &mut Discipline, ahead: &mut Ms, from: Ms, to: Ms, off: impl Fn(Ms) -> Ms) {
        let mut last = from + *ahead;
        for at in (from..to).step_by(250) {
            *ahead += discipline.change(off(at) - *ahead, at);
            assert!(at + *ahead >= last, "the clock goes back at {at}");
            last = at + *ahead;
        }
    }

    #[test]
    fn a_jump_of_a_year_for_eleven_seconds_changes_nothing() {
        let (mut discipline, mut ahead) = (Discipline::default(), 0);
        let off = |at| if (5_000..16_000).contains(&at) { 366 * DAY } else { 0 };
        run(&mut discipline, &mut ahead, 0, 120_000, off);
        assert_eq!(ahead, 0);
    }

    #[test]
    fn a_jump_ahead_that_lasts_is_followed_after_a_minute() {
        let (mut discipline, mut ahead) = (Discipline::default(), 0);
        run(&mut discipline, &mut ahead, 0, 59_000, |_| DAY);
        assert_eq!(ahead, 0);
        run(&mut discipline, &mut ahead, 59_000, 70_000, |_| DAY);
        assert_eq!(ahead, DAY);
    }

    #[test]
    fn a_clock_that_was_set_back_is_met_slowly_and_never_goes_back() {
        let (mut discipline, mut ahead) = (Discipline::default(), 0);
        run(&mut discipline, &mut ahead, 0, 100_000, |_| -DAY);
        assert!((-10_001..-9_000).contains(&ahead), "{ahead}");
        let (mut discipline, mut ahead) = (Discipline::default(), 0);
        run(&mut discipline, &mut ahead, 0, 60_000, |_| -2_000);
        assert!((-2_000..=-1_995).contains(&ahead), "{ahead}");
    }

    #[test]
    fn a_minute_ahead_is_met_by_running_a_quarter_faster() {
        let (mut discipline, mut ahead) = (Discipline::default(), 0);
        run(&mut discipline, &mut ahead, 0, 30_000, |_| 60_000);
        assert!((7_000..=7_500).contains(&ahead), "{ahead}");
        run(&mut discipline, &mut ahead, 30_000, 300_000, |_| 60_000);
        assert!((59_995..=60_000).contains(&ahead), "{ahead}");
    }

    #[test]
    fn the_clock_starts_at_the_wall_clock_and_goes_on() {
        let (wall, now) = (wall_ms(), now_ms());
        assert!((wall - now).abs() < 60_000, "{wall} {now}");
        assert!(now_ms() >= now);
    }
}
