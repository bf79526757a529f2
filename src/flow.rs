//! Every number that controls how deliveries flow, with the reason for its value.
//!
//! These numbers are not settings. Settings are in `fanfare.toml` and reach the router as
//! [`RouterOptions`](crate::pipeline::RouterOptions) and
//! [`ServeOptions`](crate::agenda::ServeOptions). The sections follow the path of an event.
//! Several values depend on each other, so run the benchmarks after changing one.

use std::time::Duration;

use fanfare_store::Ms;

// ---- Read ------------------------------------------------------------------------------------

/// How long one read waits for new entries. The read loop takes over entries of stopped replicas
/// between two reads, and a stop request interrupts the wait, so the value is not critical.
pub(crate) const READ_WAIT: Duration = Duration::from_secs(1);

/// How often the reader looks for entries that a stopped replica read and did not finish. A
/// receiver notices a delay of half a second in a rolling restart, but hardly a shorter one.
pub(crate) const TAKE_OVER_EVERY: Duration = Duration::from_millis(500);

// ---- Memory ----------------------------------------------------------------------------------

/// What an event takes in memory, as a multiple of its body: the body itself, and its parsed form
/// where a filter or a template needs it.
pub(crate) const EVENT_COPIES: usize = 2;

/// One part in this many of `router.memory` is for the events that are read and not settled. The
/// window has a place for each of them, and a large event takes several places.
pub(crate) const WINDOW_MEMORY_SHARE: usize = 6;

/// Each place has room for a usual event at least, whatever the size of the window.
pub(crate) const PLACE_BYTES_MIN: usize = 4 << 10;

/// The same for deliveries that are read from their queues, and for first attempts that take long.
/// What was let in before such an attempt counted comes on top of it, up to one window.
pub(crate) const LANE_MEMORY_SHARE: usize = 6;

/// The same for the bodies of requests in progress and their answers. The rest is for the program
/// itself, the store's caches, and what is read ahead.
pub(crate) const HTTP_MEMORY_SHARE: usize = 4;

/// Bytes of events that one look into a queue brings, unless it is for a digest.
pub(crate) const LOOK_BYTES: usize = 1 << 20;

/// Bytes of events in one digest. The templates of a digest take several times as much.
pub(crate) const DIGEST_BYTES: usize = 4 << 20;

/// A first attempt whose event is larger than this starts only if there is memory for it.
pub(crate) const LARGE_EVENT: usize = 16 << 10;

/// How long a lane waits for memory before it gives its place to another one.
pub(crate) const MEMORY_WAIT: Duration = Duration::from_millis(500);

/// When a lane is served again for which there was no memory.
pub(crate) const NO_MEMORY_WAIT_MS: Ms = 500;

// ---- Dispatch --------------------------------------------------------------------------------

/// How long the entries of one tenant in a batch may wait in total for receivers that have no room
/// at the moment. A receiver that stops answering delays other events of its tenant once by this
/// time: then its deliveries are parked, and no later batch waits for a lane with a parked delivery.
/// Events behind a burst therefore wait only for receivers that accept a batch in this time.
pub(crate) const BATCH_WAIT_MAX: Duration = Duration::from_millis(200);

/// Pause between two looks for room during that wait. A full line in memory lasts longer.
pub(crate) const BATCH_WAIT_STEP: Duration = Duration::from_millis(1);

/// Attempts that are started before other tasks get a turn. Fast receivers have answered the first
/// attempts by then, so the last attempts of a batch reuse connections instead of opening new
/// ones: with 1,000 tenants this saves 12 MiB.
pub(crate) const STARTS_PER_TURN: usize = 32;

// ---- The lane's gate: its line in memory -----------------------------------------------------

/// Longest time that a delivery may be expected to wait in a lane's line in memory. The same as
/// [`ATTEMPT_HOLDS_EVENT`], so a line delays an event no longer than an attempt may.
pub(crate) const LINE_WAIT: Duration = Duration::from_millis(500);

/// The same while memory is ample. When the machine is busy for a moment, all receivers look slow
/// at once. Parking their deliveries in the store would add to the load.
pub(crate) const LINE_WAIT_AMPLE: Duration = Duration::from_secs(2);

/// Most deliveries in one lane's line. Bounds memory even if the receiver is very fast.
pub(crate) const LINE_COUNT_MAX: usize = 1_024;

/// Memory is ample while at least one place of the window in four is free. Slow receivers can take
/// three quarters of the window and leave the rest to others.
pub(crate) const AMPLE_WINDOW_SHARE: usize = 4;

/// Events with many deliveries leave at least one place of the window in eight to others. What finds
/// no place within [`PLACES_WAIT`] is queued in the store.
pub(crate) const RESERVED_WINDOW_SHARE: usize = 8;

/// How long an event waits for the places of its deliveries. Attempts release their places within
/// [`ATTEMPT_HOLDS_EVENT`].
pub(crate) const PLACES_WAIT: Duration = Duration::from_secs(2);

/// A batch waits for a full lane only if at least this many deliveries may be in its line, that
/// is, if the receiver accepts 256 deliveries a second or more.
pub(crate) const FAST_LINE: usize = 128;

/// Attempts before their mean time is trusted. The first ones open connections and compile
/// templates.
pub(crate) const WARM_UP_ATTEMPTS: u8 = 10;

/// A first attempt that takes longer than this counts at once: the receiver itself is slow.
pub(crate) const WARM_UP_ATTEMPT: Duration = Duration::from_millis(250);

/// Weight of the newest attempt in the mean time of an attempt. About the last 20 attempts count.
pub(crate) const MEAN_WEIGHT: f64 = 0.1;

/// A receiver is making progress if it answered within this time.
pub(crate) const PROGRESS_WITHIN: Duration = Duration::from_millis(200);

/// How long new deliveries queue behind parked ones unless the backlog is noted again. Long enough
/// for the agenda to reach the lane. It expires because another process may serve the backlog.
pub(crate) const BACKLOG_LASTS: Duration = Duration::from_secs(3);

/// How long places of a shared pace may be used after they were taken. What a process does not use
/// is lost, so places never pile up.
pub(crate) const PLACES_LAST: Duration = Duration::from_millis(100);

/// Most places of a shared pace that are taken at once. A batch is also no more than half of what
/// the pace allows in [`PLACES_LAST`], so lanes have one from 40 messages a second on.
pub(crate) const PLACES_AT_ONCE_MAX: u32 = 100;

/// Longest wait for an answer about shared places. Then the process keeps the rate by itself.
pub(crate) const PLACES_ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Paces with several destinations that are remembered before unused ones are removed.
pub(crate) const COMMON_PACES_KEPT: usize = 10_000;

// ---- The lane's gate: concurrency and circuit ------------------------------------------------

/// Concurrent attempts that a new lane starts with. A receiver that hangs from the first moment
/// costs this number of sockets, not the whole limit of the policy.
pub(crate) const CONCURRENCY_START: u32 = 8;

/// The concurrency is halved at most this often: a burst of timeouts is one sign of overload.
pub(crate) const CONCURRENCY_CUT_EVERY_MS: Ms = 1_000;

/// The circuit counts results over this window.
pub(crate) const CIRCUIT_WINDOW_MS: Ms = 30_000;

/// Fewer results in a window than this do not open the circuit.
pub(crate) const CIRCUIT_RESULTS_MIN: u32 = 8;

/// First pause of an open circuit. It doubles with each failed probe.
pub(crate) const CIRCUIT_PAUSE_FIRST_MS: Ms = 5_000;

/// Longest pause: a receiver that is back gets its deliveries within five minutes.
pub(crate) const CIRCUIT_PAUSE_MAX_MS: Ms = 300_000;

/// Largest random addition to the pause, as a share of it, so that probes of many lanes with the
/// same receiver do not arrive together.
pub(crate) const CIRCUIT_PAUSE_SPREAD: f64 = 0.2;

// ---- Attempt ---------------------------------------------------------------------------------

/// How long a first attempt may delay the settlement of its event. Afterwards the delivery is
/// queued as in flight and the event is settled without it, so a receiver that hangs holds no
/// place in the window.
pub(crate) const ATTEMPT_HOLDS_EVENT: Duration = Duration::from_millis(500);

/// Added to the policy's deadline before a delivery in flight counts as lost with its process.
/// Covers a slow write of the outcome, so that it is not sent a second time.
pub(crate) const IN_FLIGHT_MARGIN: Duration = Duration::from_secs(15);

/// How long the outcome of a long attempt waits in memory for its event to become durable.
pub(crate) const OUTCOME_KEPT: Duration = Duration::from_hours(1);

/// When a delivery is due again that found no free place in its channel. It is not an attempt.
pub(crate) const CHANNEL_BUSY_WAIT_MS: Ms = 1_000;

/// How long a delivery waits for a free place in its channel before it is parked. Far below the
/// deadlines of channels that send, so the wait leaves time for an attempt.
pub(crate) const CHANNEL_WAIT: Duration = Duration::from_secs(5);

// ---- Settle ----------------------------------------------------------------------------------

/// From the start of one batch of settlements to the start of the next, under load. A store writes
/// fifty outcomes in little more time than five.
pub(crate) const SETTLE_EVERY: Duration = Duration::from_millis(4);

// ---- Writes to the store ---------------------------------------------------------------------

/// How often one item is tried that the store refuses, before it is set aside. More than one try,
/// because the cause may be a moment's state of the store.
pub(crate) const REFUSED_TRIES: u32 = 5;

/// First wait after a failed store call. It doubles with each failure.
pub(crate) const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// The wait doubles at most this often: up to 1.6 s.
pub(crate) const BACKOFF_DOUBLINGS: u32 = 4;

/// Random share by which that wait is shortened or extended.
pub(crate) const BACKOFF_JITTER: f64 = 0.3;

// ---- Agenda: claims --------------------------------------------------------------------------

/// Most lanes in one claim.
pub(crate) const CLAIM_MAX: usize = 64;

/// Shortest wait between two claims when nothing is due, so that claiming is never a busy loop.
pub(crate) const CLAIM_WAIT_MIN_MS: Ms = 2;

/// Longest wait between two claims: the safety net if a notification of the store is lost.
pub(crate) const CLAIM_WAIT_MAX_MS: Ms = 1_000;

/// Wait after a claim that brought only lanes of tenants at their share.
pub(crate) const CLAIM_WAIT_SHARE_FULL: Duration = Duration::from_millis(50);

/// When such a lane may be claimed again.
pub(crate) const SHARE_FULL_WAIT_MS: Ms = 500;

/// After a long outage of the store, wait this long before claiming. Leases have expired, but
/// their holders still retry to write what they sent. Longer than the longest wait between two of
/// those tries (1.6 s plus 30 %).
pub(crate) const OUTAGE_GRACE: Duration = Duration::from_millis(2_500);

/// After the clock has followed a jump, wait this long before claiming: every process notices it
/// within two seconds and then renews its leases.
pub(crate) const CLOCK_GRACE: Duration = Duration::from_secs(5);

/// When a lane is served again after a temporary error of the store.
pub(crate) const SERVE_AGAIN_MS: Ms = 1_000;

/// The same after an error that will not pass in a moment.
pub(crate) const SERVE_AGAIN_REFUSED_MS: Ms = 60_000;

// ---- Agenda: lanes that cannot be served now -------------------------------------------------

/// How often a paused lane is checked. Resuming serves it at once, but the notification may arrive
/// while the lane is claimed or while no process runs.
pub(crate) const PAUSED_CHECK_MS: Ms = 5 * 60 * 1_000;

/// How often a lane is checked whose tenant's document cannot be used.
pub(crate) const UNUSABLE_CHECK_MS: Ms = 2_000;

/// How often a lane is checked that this process does not know.
pub(crate) const UNKNOWN_CHECK_MS: Ms = 1_000;

/// A lane that stays unknown for this long was removed. A change of the directory is noticed
/// within a second, or later if the store is away.
pub(crate) const UNKNOWN_IS_REMOVED_MS: Ms = 10_000;

/// When a lane is checked again whose places are all taken by first attempts.
pub(crate) const BUSY_CHECK_MS: Ms = 250;

// ---- Agenda: repaired lanes -------------------------------------------------------------------

/// Lanes whose waits are lifted at the same time.
pub(crate) const LIFT_AT_ONCE: usize = 8;

/// Deliveries that are moved forward at once. A first part of a long queue is sent before the rest
/// is read.
pub(crate) const LIFT_BATCH: usize = 200;

/// A process that starts lifts the waits of destinations that were repaired within this time:
/// longer than any wait of the standard schedules.
pub(crate) const LIFT_MARKS_LAST: Ms = 7 * 24 * 3_600 * 1_000;

/// Holds that end sooner than this are not noted in the store.
pub(crate) const HOLD_NOTED_MS: Ms = 5_000;

// ---- Agenda: direct lanes --------------------------------------------------------------------

/// Outcomes that are recorded in one call, unless the first of them has waited long enough.
pub(crate) const RECORD_AT: usize = 64;

/// Longest that an outcome waits for others to be recorded with.
pub(crate) const RECORD_AFTER: Duration = Duration::from_millis(50);

/// A queue with nothing new is not read again before this time while attempts are running.
pub(crate) const QUEUE_READ_AFTER: Duration = Duration::from_millis(20);

/// Longest time between two looks at the queue and the gate of a lane that is being served.
pub(crate) const LOOK_WITHIN: Duration = Duration::from_secs(1);

/// A hold that ends within this time is waited for. For a longer one the lane is released.
pub(crate) const HOLD_WORTH_WAITING_MS: Ms = 500;

// ---- Agenda: lanes in order ------------------------------------------------------------------

/// Shortest wait for an earlier entry that another replica has read and not finished.
pub(crate) const EARLIER_WAIT_MIN_MS: Ms = 2;

/// Longest such wait.
pub(crate) const EARLIER_WAIT_MAX_MS: Ms = 500;

/// Up to this time the round itself waits. For a longer wait the lane is released.
pub(crate) const EARLIER_WAIT_HERE_MS: Ms = 50;

// ---- Agenda: digests -------------------------------------------------------------------------

/// Deliveries read beyond the size of a digest. Late ones, due at the same tick, must not hide
/// those of a digest that is tried again.
pub(crate) const DIGEST_READ_EXTRA: usize = 512;

/// The same in bytes of events.
pub(crate) const DIGEST_READ_EXTRA_BYTES: usize = 1 << 20;

/// When a digest is due whose calendar has no next tick. Calendars are checked when they are
/// parsed, so this does not happen.
pub(crate) const NO_TICK_WAIT_MS: Ms = 60_000;

// ---- Templates -------------------------------------------------------------------------------

/// Tenants' compiled templates that stay in memory, by the bytes of their sources.
pub(crate) const TEMPLATE_BYTES_KEPT: u64 = 64 << 20;

/// What a tenant without templates of its own counts.
pub(crate) const TEMPLATE_BYTES_LEAST: u64 = 2_048;

// ---- Health and notices ----------------------------------------------------------------------

/// A tenant is warned of a destination with only failures after this share of `disable_after`, if
/// that is sooner than the setting.
pub(crate) const FAILING_SHARE: f64 = 0.8;

/// How long it is remembered that a tenant was warned, if the destination gets no other event.
pub(crate) const FAILING_REMEMBERED: Duration = Duration::from_hours(60 * 24);

/// Longest time between two reports of the same health of a lane. The store keeps since when a
/// lane fails, so it needs no report of every attempt.
pub(crate) const HEALTH_REPORT_EVERY: Duration = Duration::from_hours(1);

/// Two bounces farther apart than this are not in a row.
pub(crate) const BOUNCES_IN_A_ROW_WITHIN: Duration = Duration::from_hours(90 * 24);

/// Notices waiting to be written. Beyond it new ones are dropped, which is logged: the ledger has
/// the deliveries themselves.
pub(crate) const NOTICES_MAX: usize = 4_096;

// ---- Upkeep ----------------------------------------------------------------------------------

/// How often this process reports that it is alive.
pub(crate) const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);

/// How often the store is compared with itself. What is stranded waits for about this long.
pub(crate) const RECONCILE_EVERY: Duration = Duration::from_secs(10);

/// The clock of the retention may be this much ahead of what elapsed time says. A larger difference
/// is a jump, or a server that did not run for a while.
pub(crate) const RETENTION_JUMP_MS: Ms = 60 * 60 * 1_000;

/// How long nothing is removed after such a jump, unless the retention itself is shorter.
pub(crate) const RETENTION_JUMP_WAIT: Duration = Duration::from_hours(1);

/// How often the clock of the retention is stored, so that the next start can compare.
pub(crate) const RETENTION_CLOCK_STORED: Duration = Duration::from_mins(1);

/// How often hourly statistics past their retention are removed.
pub(crate) const STATS_FORGOTTEN_EVERY: Duration = Duration::from_mins(30);

/// Most events that one step of the cleanup removes. Short steps do not block other writes.
pub(crate) const CLEANUP_STEP: usize = 500;

/// Longest rest between two steps while the cleanup is behind.
pub(crate) const CLEANUP_REST: Duration = Duration::from_millis(20);

/// Shortest and longest rest when nothing is left to remove. A short retention needs frequent
/// cleanups.
pub(crate) const CLEANUP_IDLE_MS: (Ms, Ms) = (100, 5_000);
