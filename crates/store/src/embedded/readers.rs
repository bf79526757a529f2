//! The connections that read, each with a thread of its own. In WAL mode, readers never wait for
//! the writer.
//!
//! The threads belong to the store, so that nothing else can occupy them, and what they do blocks
//! nothing else. What the router reads comes first and has one thread for itself. What is read for
//! a tenant takes turns with other tenants, and one tenant never has all threads at once. A read
//! whose caller is gone is skipped.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::folder::Folder;
use super::gate::Gate;
use super::schema;
use crate::{Result, StoreError};

/// Reads of one tenant that wait before those without a caller are dropped.
const CLEANUP_AT: usize = 64;

/// For whom something is read.
#[derive(Clone, Copy)]
pub(super) enum Turn<'a> {
    /// The router itself: deliveries do not go on without it.
    Router,
    /// This tenant, through the API. The empty name is for what belongs to all tenants.
    Tenant(&'a str),
}

/// The threads that read.
pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Vec<std::thread::JoinHandle<()>>,
    folder: Folder,
}

struct Queue {
    jobs: Mutex<Jobs>,
    bell: Condvar,
}

/// The reads that wait.
struct Jobs {
    router: VecDeque<Box<dyn Job>>,
    tenants: HashMap<Arc<str>, Waiting>,
    /// The tenants that have a read waiting, in turn.
    turns: VecDeque<Arc<str>>,
    /// How many reads of one tenant run at once.
    per_tenant: usize,
    is_closed: bool,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    running: usize,
}

/// A read, and the tenant that it counts for.
type Taken = (Box<dyn Job>, Option<Arc<str>>);

/// One read, whatever its answer.
trait Job: Send {
    fn run(self: Box<Self>, conn: &Connection);
    fn is_wanted(&self) -> bool;
}

struct Read<W, T> {
    work: W,
    reply: oneshot::Sender<Result<T>>,
}

impl<W, T> Job for Read<W, T>
where
    W: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn run(self: Box<Self>, conn: &Connection) {
        // The caller may be gone.
        let _ = self.reply.send(in_one_state(conn, self.work));
    }

    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }
}

impl Readers {
    /// `count` threads that read for tenants, and one more for the router.
    pub(super) fn open(folder: &Folder, count: usize) -> Result<Self> {
        let count = count.clamp(1, 64);
        let jobs = Jobs {
            router: VecDeque::new(),
            tenants: HashMap::new(),
            turns: VecDeque::new(),
            per_tenant: (count - 1).max(1),
            is_closed: false,
        };
        let queue = Arc::new(Queue { jobs: Mutex::new(jobs), bell: Condvar::new() });
        let mut readers = Self { queue, threads: Vec::new(), folder: folder.clone() };
        for n in 0..=count {
            let (conn, queue) = (schema::open_reader(folder)?, Arc::clone(&readers.queue));
            let thread = std::thread::Builder::new().name(format!("fanfare-read-{n}"));
            let gate = Arc::clone(&folder.gate);
            let spawned = thread.spawn(move || queue.serve(&conn, &gate, n > 0));
            readers.threads.push(spawned.map_err(|error| StoreError::Other {
                message: "cannot start a thread of the store".to_owned(),
                source: Some(Box::new(error)),
            })?);
        }
        Ok(readers)
    }

    /// Runs `work` on a thread that reads. It sees one consistent state of the store.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        turn: Turn<'_>,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(turn, Box::new(Read { work, reply }));
        match answer.await {
            Ok(answer) => answer.map_err(|error| self.folder.judge(error)),
            Err(error) => {
                let message = "reading from the store was cut off".to_owned();
                Err(StoreError::Other { message, source: Some(Box::new(error)) })
            }
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.bell.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, turn: Turn<'_>, job: Box<dyn Job>) {
        self.lock().push(turn, job);
        // A thread that is not for this job may be woken first, so all are.
        self.bell.notify_all();
    }

    fn serve(&self, conn: &Connection, gate: &Gate, for_tenants: bool) {
        while let Some((job, tenant)) = self.next(for_tenants) {
            // The answer of a read that panics is dropped, and its caller gets an error. The panic
            // itself was already printed.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let _reading = gate.enter();
                job.run(conn);
            }));
            if let Some(tenant) = tenant {
                self.lock().ended(&tenant);
                self.bell.notify_all();
            }
        }
    }

    /// Waits for the next read. None when the store is closed.
    fn next(&self, for_tenants: bool) -> Option<Taken> {
        let mut jobs = self.lock();
        loop {
            if jobs.is_closed {
                return None;
            }
            if let Some(taken) = jobs.take(for_tenants) {
                return Some(taken);
            }
            jobs = self.bell.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Jobs {
    fn push(&mut self, turn: Turn<'_>, job: Box<dyn Job>) {
        let Turn::Tenant(tenant) = turn else { return self.router.push_back(job) };
        let tenant: Arc<str> = tenant.into();
        let waiting = self.tenants.entry(Arc::clone(&tenant)).or_default();
        // Reads whose callers have left must not pile up.
        if waiting.jobs.len() % CLEANUP_AT == CLEANUP_AT - 1 {
            waiting.jobs.retain(|job| job.is_wanted());
        }
        if waiting.jobs.is_empty() && !self.turns.contains(&tenant) {
            self.turns.push_back(tenant);
        }
        waiting.jobs.push_back(job);
    }

    fn take(&mut self, for_tenants: bool) -> Option<Taken> {
        while let Some(job) = self.router.pop_front() {
            if job.is_wanted() {
                return Some((job, None));
            }
        }
        if !for_tenants {
            return None;
        }
        for _ in 0..self.turns.len() {
            let tenant = self.turns.pop_front()?;
            let Some(waiting) = self.tenants.get_mut(&tenant) else { continue };
            if waiting.running >= self.per_tenant {
                self.turns.push_back(tenant);
                continue;
            }
            while let Some(job) = waiting.jobs.pop_front() {
                if job.is_wanted() {
                    waiting.running += 1;
                    if !waiting.jobs.is_empty() {
                        self.turns.push_back(Arc::clone(&tenant));
                    }
                    return Some((job, Some(tenant)));
                }
            }
            self.forget_idle(&tenant);
        }
        None
    }

    fn ended(&mut self, tenant: &Arc<str>) {
        if let Some(waiting) = self.tenants.get_mut(tenant) {
            waiting.running -= 1;
        }
        self.forget_idle(tenant);
    }

    fn forget_idle(&mut self, tenant: &Arc<str>) {
        let idle = |waiting: &Waiting| waiting.running == 0 && waiting.jobs.is_empty();
        if self.tenants.get(tenant).is_some_and(idle) {
            self.tenants.remove(tenant);
        }
    }
}

fn in_one_state<T>(conn: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let tx = conn.unchecked_transaction()?;
    let answer = work(&tx)?;
    tx.commit()?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn readers(count: usize) -> (tempfile::TempDir, Arc<Readers>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(dir.path()).unwrap();
        drop(schema::open_writer(&folder).unwrap());
        (dir, Arc::new(Readers::open(&folder, count).unwrap()))
    }

    /// A read of `tenant` that lasts until the sender is dropped.
    fn long(readers: &Arc<Readers>, tenant: &'static str) -> mpsc::Sender<()> {
        let (hold, held) = mpsc::channel::<()>();
        let (readers, (began, begun)) = (Arc::clone(readers), mpsc::channel());
        tokio::spawn(async move {
            let work = move |_: &Connection| {
                let _ = began.send(());
                let _ = held.recv();
                Ok(())
            };
            readers.run(Turn::Tenant(tenant), work).await
        });
        // If the read cannot begin, it waits for its turn.
        let _ = begun.recv_timeout(std::time::Duration::from_millis(200));
        hold
    }

    async fn quick(readers: &Readers, turn: Turn<'_>) -> Result<i64> {
        readers.run(turn, |conn| Ok(conn.query_row("SELECT 7", [], |row| row.get(0))?)).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn long_reads_of_one_tenant_delay_neither_the_router_nor_another_tenant() {
        let (_dir, readers) = readers(2);
        let held: Vec<_> = (0..3).map(|_| long(&readers, "greedy")).collect();
        assert_eq!(quick(&readers, Turn::Tenant("other")).await.unwrap(), 7);
        assert_eq!(quick(&readers, Turn::Tenant("")).await.unwrap(), 7);
        assert_eq!(quick(&readers, Turn::Router).await.unwrap(), 7);
        drop(held);
        assert_eq!(quick(&readers, Turn::Tenant("greedy")).await.unwrap(), 7);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn long_reads_of_all_tenants_do_not_delay_the_router() {
        let (_dir, readers) = readers(2);
        let held = ["a", "b", "c", "d"].map(|tenant| long(&readers, tenant));
        assert_eq!(quick(&readers, Turn::Router).await.unwrap(), 7);
        drop(held);
    }

    #[tokio::test]
    async fn a_read_that_panics_or_is_abandoned_leaves_nothing_behind() {
        let (_dir, readers) = readers(1);
        let panicked = readers.run(Turn::Tenant("a"), |_| -> Result<()> { panic!("in a read") });
        assert!(panicked.await.is_err());
        let abandoned = quick(&readers, Turn::Tenant("a"));
        let _ = tokio::time::timeout(std::time::Duration::ZERO, abandoned).await;
        assert_eq!(quick(&readers, Turn::Tenant("a")).await.unwrap(), 7);
        assert_eq!(quick(&readers, Turn::Router).await.unwrap(), 7);
        // The last answer came before its thread noted the end.
        while !readers.queue.lock().tenants.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn tenants_take_turns() {
        let (_dir, readers) = readers(1);
        let hold = long(&readers, "flood");
        let (done, order) = mpsc::channel();
        let mut reads = Vec::new();
        for (tenant, count) in [("flood", 50), ("quiet", 2)] {
            for _ in 0..count {
                let (readers, done) = (Arc::clone(&readers), done.clone());
                reads.push(tokio::spawn(async move {
                    let work = move |_: &Connection| {
                        done.send(tenant).unwrap();
                        Ok(())
                    };
                    readers.run(Turn::Tenant(tenant), work).await
                }));
            }
        }
        drop(done);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        drop(hold);
        for read in reads {
            read.await.unwrap().unwrap();
        }
        let order: Vec<_> = order.iter().collect();
        let last = order.iter().rposition(|tenant| *tenant == "quiet").unwrap();
        assert!(last < 6, "{order:?}");
    }
}
