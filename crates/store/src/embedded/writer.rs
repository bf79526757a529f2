//! The one thread that writes, with group commit.
//!
//! The thread takes a group of waiting requests, runs them in one transaction, commits it (one
//! fsync), and then answers them. The slower the disk, the larger the groups. A request that fails
//! after it has changed something rolls back the whole group. Each request then runs again alone,
//! so only that one fails.
//!
//! What the router writes comes first. New events of tenants follow in turn, and a group has a
//! bounded number of them. So a tenant that floods the store with events delays neither outcomes
//! nor the events of another tenant by more than a group.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::Wal;
use tokio::sync::oneshot;

use super::checkpoint::Checkpointer;
use super::failure;
use super::folder::{Folder, Hold};
use super::tail::Tail;
use super::writing::{Effects, Writing};
use crate::turns::Turns;
use crate::{Result, StoreError};

/// Requests in one transaction.
const GROUP_JOBS: usize = 2_048;
/// Rows in one transaction, roughly. Writing them takes some tens of milliseconds.
const GROUP_ROWS: usize = 8_192;
/// New events of tenants in one transaction. A request with more of them is a group of its own.
const GROUP_EVENTS: usize = 1_024;
/// A request with no more events than this is added to a group that is full of larger ones.
const SMALL: usize = 16;
/// How often the position below which all entries are settled is stored.
const MARK_EVERY: Duration = Duration::from_millis(500);

/// The way to the thread.
pub(super) struct Writer {
    folder: Folder,
    queue: Arc<Queue>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the thread owns.
pub(super) struct Parts {
    pub(super) writing: Writing,
    pub(super) folder: Folder,
    pub(super) tail: Arc<Tail>,
    /// Released after the thread has closed the database. None for a tool.
    pub(super) hold: Option<Hold>,
}

impl Writer {
    pub(super) fn start(parts: Parts) -> Result<Self> {
        let queue = Arc::new(Queue::default());
        let jobs = Arc::clone(&queue);
        let folder = parts.folder.clone();
        let mut thread = Thread::new(parts)?;
        let spawned =
            std::thread::Builder::new().name("fanfare-store".to_owned()).spawn(move || {
                // If this thread panics, callers must not wait for it.
                let jobs = Closing(jobs);
                thread.serve(&jobs.0);
                thread.close();
            });
        let thread = spawned.map_err(|error| StoreError::Other {
            message: "cannot start the writer thread of the store".to_owned(),
            source: Some(Box::new(error)),
        })?;
        Ok(Self { folder, queue, thread: Some(thread) })
    }

    /// Runs `work`, which touches about `rows` rows, and returns once it is durable. It may run
    /// more than once, always from the same state. It finishes even if the caller is gone.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        rows: usize,
        work: impl FnMut(&mut Writing) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(None, rows, work).await
    }

    /// Like [`Self::call`], for new events of a tenant. They take turns with those of other tenants.
    /// If the caller is gone before the turn comes, nothing is written.
    pub(super) async fn call_in_turn<T: Send + 'static>(
        &self,
        tenant: &Arc<str>,
        events: usize,
        work: impl FnMut(&mut Writing) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Some(tenant), events, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        tenant: Option<&Arc<str>>,
        rows: usize,
        work: impl FnMut(&mut Writing) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(tenant, Box::new(Call { rows, work, outcome: None, reply }));
        let answer = answer.await.map_err(|_| failure::thread_gone())?;
        answer.map_err(|error| self.folder.judge(error))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // The panic itself was already printed.
            let _ = thread.join();
        }
    }
}

/// The requests that wait for the thread. Each has a caller who waits for its answer, or had one a
/// group ago, so there are no more of them than callers.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    router: VecDeque<Box<dyn Job>>,
    tenants: Turns<Box<dyn Job>>,
    is_closed: bool,
}

/// Closes the queue when the thread ends.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
        let mut waiting = self.0.lock();
        // Their callers get an error.
        waiting.router.clear();
        waiting.tenants.retain(|_| false);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, tenant: Option<&Arc<str>>, job: Box<dyn Job>) {
        let mut waiting = self.lock();
        if waiting.is_closed {
            return;
        }
        match tenant {
            Some(tenant) => waiting.tenants.push(tenant, job.rows(), job),
            None => waiting.router.push_back(job),
        }
        drop(waiting);
        self.bell.notify_one();
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.bell.notify_all();
    }

    /// Waits for requests and takes the next group. None when the queue is closed and empty.
    fn next_group(&self) -> Option<Vec<Box<dyn Job>>> {
        let mut waiting = self.lock();
        loop {
            let group = waiting.group();
            if !group.is_empty() {
                return Some(group);
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Waiting {
    fn group(&mut self) -> Vec<Box<dyn Job>> {
        let (mut group, mut rows) = (Vec::new(), 0);
        while group.len() < GROUP_JOBS
            && rows < GROUP_ROWS
            && let Some(job) = self.router.pop_front()
        {
            rows += job.rows();
            group.push(job);
        }
        let mut events = 0;
        while group.len() < GROUP_JOBS {
            let has_room = events < GROUP_EVENTS && (events == 0 || rows < GROUP_ROWS);
            let fits = |more: usize| {
                let is_first = events == 0;
                (has_room && (is_first || events + more <= GROUP_EVENTS)) || more <= SMALL
            };
            let Some(job) = self.tenants.next(fits) else { break };
            if job.is_wanted() {
                events += job.rows();
                rows += job.rows();
                group.push(job);
            }
        }
        group
    }
}

/// One request, whatever its answer.
trait Job: Send {
    fn rows(&self) -> usize;
    /// Runs the request and keeps its outcome. Says whether the group must be rolled back.
    fn run(&mut self, writing: &mut Writing) -> Result<(), Undo>;
    /// Whether a caller waits for the answer.
    fn is_wanted(&self) -> bool;
    /// Answers the caller: the change is durable or, with an error, nothing changed.
    fn answer(self: Box<Self>, failure: Option<StoreError>);
}

/// A request failed half-way.
struct Undo;

struct Call<W, T> {
    rows: usize,
    work: W,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<W, T> Job for Call<W, T>
where
    W: FnMut(&mut Writing) -> Result<T> + Send,
    T: Send,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn run(&mut self, writing: &mut Writing) -> Result<(), Undo> {
        let before = writing.progress();
        let outcome = (self.work)(writing);
        let clean =
            outcome.is_ok() || (writing.progress() == before && !writing.conn.is_autocommit());
        self.outcome = Some(outcome);
        if clean { Ok(()) } else { Err(Undo) }
    }

    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn answer(self: Box<Self>, failure: Option<StoreError>) {
        let answer = match (failure, self.outcome) {
            (Some(failure), _) => Err(failure),
            (None, Some(outcome)) => outcome,
            (None, None) => Err(failure::thread_gone()),
        };
        // The caller may be gone. Its request took effect all the same.
        let _ = self.reply.send(answer);
    }
}

/// The result of a group.
enum Group {
    Committed(Effects),
    /// Rolled back because of one request. Its outcome has the reason.
    Undone,
    /// Rolled back as a whole: it could not start or commit.
    Failed(StoreError),
}

fn answer(group: Vec<Box<dyn Job>>, error: Option<&StoreError>) {
    for job in group {
        job.answer(error.map(failure::again));
    }
}

struct Thread {
    writing: Writing,
    tail: Arc<Tail>,
    /// Only a router has one. A tool writes little, and SQLite's own checkpoints are enough.
    checkpointer: Option<Checkpointer>,
    wal_pages: Arc<AtomicI32>,
    marked: Instant,
    hold: Option<Hold>,
}

impl Thread {
    fn new(parts: Parts) -> Result<Self> {
        let Parts { mut writing, folder, tail, hold } = parts;
        let wal_pages = Arc::clone(&folder.log_pages);
        let checkpointer = match hold {
            Some(_) => {
                let pages = Arc::clone(&wal_pages);
                // Replaces SQLite's own checkpoints, which would stall the writer.
                writing.conn.wal_hook(Some(move |_: &mut Wal, count| {
                    pages.store(count, Ordering::Relaxed);
                    Ok(())
                }))?;
                Some(Checkpointer::start(&folder)?)
            }
            None => None,
        };
        let marked = Instant::now();
        Ok(Self { writing, tail, checkpointer, wal_pages, marked, hold })
    }

    fn serve(&mut self, jobs: &Queue) {
        while let Some(group) = jobs.next_group() {
            self.commit(group);
            if let Some(checkpointer) = &mut self.checkpointer {
                checkpointer.after_commit(&self.writing.conn, &self.wal_pages);
            }
        }
    }

    fn commit(&mut self, mut group: Vec<Box<dyn Job>>) {
        match self.try_commit(&mut group) {
            Group::Committed(effects) => {
                self.tail.committed(effects);
                answer(group, None);
            }
            // Alone, the others may succeed, even on a full disk if they need less room.
            Group::Undone | Group::Failed(StoreError::Full(_)) if group.len() > 1 => {
                for job in group {
                    self.commit(vec![job]);
                }
            }
            Group::Undone => answer(group, None),
            Group::Failed(error) => answer(group, Some(&error)),
        }
    }

    fn try_commit(&mut self, group: &mut [Box<dyn Job>]) -> Group {
        if let Err(error) = self.writing.begin() {
            self.writing.undo();
            return Group::Failed(error);
        }
        for job in group {
            if job.run(&mut self.writing).is_err() {
                self.writing.undo();
                return Group::Undone;
            }
        }
        match self.mark().and_then(|()| self.writing.commit()) {
            Ok(effects) => Group::Committed(effects),
            Err(error) => {
                self.writing.undo();
                Group::Failed(error)
            }
        }
    }

    /// Stores from time to time below which position everything is settled, so that the next start
    /// does not search from the beginning. A late value is harmless: settled entries are skipped.
    fn mark(&mut self) -> Result<()> {
        if self.writing.effects.settled.is_empty() || self.marked.elapsed() < MARK_EVERY {
            return Ok(());
        }
        self.marked = Instant::now();
        self.writing.set_number("settled_below", self.tail.settled_below())
    }

    /// The order matters: the next router can start as soon as the folder is unlocked.
    fn close(self) {
        let Self { mut writing, tail, checkpointer, hold, .. } = self;
        if hold.is_some() {
            let marked = writing
                .begin()
                .and_then(|()| writing.set_number("settled_below", tail.settled_below()))
                .and_then(|()| writing.commit());
            if let Err(error) = marked {
                tracing::debug!(%error, "the position in the log was not noted at the end");
            }
        }
        drop(checkpointer);
        drop(writing);
        drop(hold);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::schema;

    fn writer(dir: &tempfile::TempDir) -> Writer {
        let folder = Folder::make(dir.path()).unwrap();
        let writing = Writing::new(schema::open_writer(&folder).unwrap()).unwrap();
        let tail = Arc::new(Tail::new(1, 1));
        Writer::start(Parts { writing, folder, tail, hold: None }).unwrap()
    }

    fn pinged(writing: &mut Writing) -> Result<i64> {
        let pings = writing.number("pings")? + 1;
        writing.set_number("pings", pings)?;
        Ok(pings)
    }

    #[tokio::test]
    async fn a_request_that_fails_half_way_takes_no_other_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Arc::new(writer(&dir));
        let calls: Vec<_> = (0..200)
            .map(|n| {
                let writer = Arc::clone(&writer);
                tokio::spawn(async move {
                    let work = move |writing: &mut Writing| {
                        let pings = pinged(writing)?;
                        if n % 10 == 0 {
                            writing.conn.execute("INSERT INTO nowhere VALUES (1)", [])?;
                        }
                        Ok(pings)
                    };
                    writer.call(1, work).await
                })
            })
            .collect();
        let mut numbers = Vec::new();
        for (n, call) in calls.into_iter().enumerate() {
            let answer = call.await.unwrap();
            assert_eq!(answer.is_err(), n % 10 == 0, "request {n}: {answer:?}");
            numbers.extend(answer);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=180).collect::<Vec<i64>>(), "each counted once");
        let pings = writer.call(1, |writing| writing.number("pings")).await.unwrap();
        assert_eq!(pings, 180);
    }

    /// A request of a tenant, without a thread that would run it.
    fn waiting(queue: &Queue, tenant: &str, rows: usize) -> oneshot::Receiver<Result<usize>> {
        let (reply, answer) = oneshot::channel();
        let work = move |_: &mut Writing| Ok(rows);
        queue.push(Some(&tenant.into()), Box::new(Call { rows, work, outcome: None, reply }));
        answer
    }

    fn rows(group: &[Box<dyn Job>]) -> Vec<usize> {
        group.iter().map(|job| job.rows()).collect()
    }

    #[test]
    fn a_flood_of_one_tenant_fills_no_group_that_another_tenant_waits_for() {
        let queue = Queue::default();
        let _flood: Vec<_> = (0..8).map(|_| waiting(&queue, "flood", 1_000)).collect();
        let _other = [waiting(&queue, "large", 900), waiting(&queue, "quiet", 2)];
        assert_eq!(rows(&queue.next_group().unwrap()), [1_000, 2]);
        let _late = waiting(&queue, "late", 1);
        assert_eq!(rows(&queue.next_group().unwrap()), [900, 1]);
        assert_eq!(rows(&queue.next_group().unwrap()), [1_000]);
    }

    #[test]
    fn what_the_router_writes_comes_first_and_abandoned_events_are_dropped() {
        let queue = Queue::default();
        let _flood = waiting(&queue, "flood", 700);
        drop(waiting(&queue, "gone", 5));
        let (reply, _answer) = oneshot::channel();
        let work = |_: &mut Writing| Ok(());
        queue.push(None, Box::new(Call { rows: 30, work, outcome: None, reply }));
        assert_eq!(rows(&queue.next_group().unwrap()), [30, 700]);
        queue.close();
        assert!(queue.next_group().is_none());
    }

    #[tokio::test]
    async fn what_a_failed_request_told_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(&dir);
        let failed = writer.call(1, |writing| {
            let tenant = writing.names.tenant(&writing.conn, &"acme".into())?;
            writing.effects.settled.push(tenant);
            writing.next_seq += 5;
            Err::<(), _>(StoreError::BadQuery("no".to_owned()))
        });
        assert!(failed.await.is_err());
        let state = writer.call(1, |writing| {
            let tenant = writing.names.tenant(&writing.conn, &"globex".into())?;
            Ok((tenant, writing.next_seq, writing.effects.settled.len()))
        });
        assert_eq!(state.await.unwrap(), (1, 1, 0), "as if it had never been");
    }
}
