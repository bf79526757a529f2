//! Threads for the renderings that are not quick, and for compiling templates.
//!
//! The threads that route and deliver must not wait for a template, and their stacks have a size
//! that we do not choose. The threads here have a large stack, and there are few of them. Tenants
//! take turns, so that one with slow templates delays only its own messages.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::error::TemplateError;
use super::limits::STACK;

/// The number of threads. One slow rendering must not keep all others waiting.
const THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRun {
    /// Too many of the tenant's jobs wait already.
    Full,
    /// It panicked, or there was no thread for it.
    Panicked,
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too many messages of this tenant wait to be rendered; try again",
            Self::Panicked => "rendering the message failed; this is a bug in Fanfare",
        })
    }
}

impl std::error::Error for NotRun {}

/// A few threads with a large stack, which serve the tenants in turn. They start when there is work
/// and end when the pool is dropped.
#[derive(Default)]
pub struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The tenants with waiting jobs, next one first.
    turns: VecDeque<String>,
    jobs: HashMap<String, VecDeque<Job>>,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
    closed: bool,
}

impl Pool {
    /// Runs `work` for a tenant when it is its turn. If the caller stops waiting before that, it is
    /// not run.
    pub async fn run<T: Send + 'static>(
        &self,
        tenant: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        self.run_unless(tenant, usize::MAX, work).await
    }

    /// Likewise, unless `waiting` jobs of this tenant wait already.
    pub async fn run_unless<T: Send + 'static>(
        &self,
        tenant: &str,
        waiting: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        let (done, result) = oneshot::channel();
        let job = move || {
            if !done.is_closed() {
                // The caller may have stopped waiting meanwhile.
                let _ = done.send(work());
            }
        };
        if !self.0.push(tenant, waiting, Box::new(job)) {
            return Err(NotRun::Full);
        }
        self.start();
        result.await.map_err(|_| NotRun::Panicked)
    }
}

impl Pool {
    /// Starts a thread if none waits for a job and there are few. If the machine has no thread left,
    /// the job waits for those that there are.
    fn start(&self) {
        let mut queue = self.0.lock();
        if queue.idle > 0 || queue.threads == THREADS {
            return;
        }
        let shared = Arc::clone(&self.0);
        let started = thread::Builder::new()
            .name("templates".to_owned())
            .stack_size(STACK)
            .spawn(move || shared.work());
        match started {
            Ok(_) => queue.threads += 1,
            // Dropping the jobs tells their callers. Otherwise they would wait for a thread forever.
            Err(_) if queue.threads == 0 => queue.jobs.clear(),
            Err(_) => {}
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    /// A job never runs under the lock, so a panic cannot leave the queue half changed.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, tenant: &str, most: usize, job: Job) -> bool {
        let mut queue = self.lock();
        if let Some(jobs) = queue.jobs.get_mut(tenant) {
            if jobs.len() >= most {
                return false;
            }
            jobs.push_back(job);
        } else {
            queue.jobs.insert(tenant.to_owned(), VecDeque::from([job]));
            queue.turns.push_back(tenant.to_owned());
        }
        drop(queue);
        self.changed.notify_one();
        true
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // The job's caller learns of a panic, because the sender of its result is dropped.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job. `None` when the pool is closed.
    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.take() {
                return Some(job);
            }
            queue.idle += 1;
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}

impl Queue {
    /// The first job of the tenant whose turn it is.
    fn take(&mut self) -> Option<Job> {
        loop {
            let tenant = self.turns.pop_front()?;
            let Some(jobs) = self.jobs.get_mut(&tenant) else { continue };
            let job = jobs.pop_front();
            if jobs.is_empty() {
                self.jobs.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
            return job;
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &THREADS).finish_non_exhaustive()
    }
}

/// Runs `work` on a thread of its own with a large stack, and waits for it.
pub(super) fn on_large_stack<T: Send>(
    work: impl FnOnce() -> T + Send,
) -> Result<T, Vec<TemplateError>> {
    thread::scope(|scope| {
        let spawned = thread::Builder::new()
            .name("templates".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work);
        match spawned {
            Ok(thread) => Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic))),
            Err(error) => {
                let message = format!("no thread can be started to compile them: {error}");
                Err(vec![TemplateError::new("templates", message)])
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_take_turns_and_have_a_bounded_number_of_waiting_jobs() {
        let shared = Shared::default();
        let order = Arc::new(Mutex::new(String::new()));
        let push = |tenant: &'static str| {
            let order = Arc::clone(&order);
            shared.push(tenant, 3, Box::new(move || order.lock().unwrap().push_str(tenant)))
        };
        assert_eq!(["a", "a", "a", "a", "b"].map(push), [true, true, true, false, true]);
        while let Some(job) = { shared.lock().take() } {
            job();
        }
        assert_eq!(*order.lock().unwrap(), "abaa");
    }

    #[tokio::test]
    async fn a_panic_ends_one_job_and_no_thread() {
        let pool = Pool::default();
        for _ in 0..2 * THREADS {
            assert_eq!(
                pool.run("a", || panic!("on purpose")).await,
                Err::<(), _>(NotRun::Panicked)
            );
        }
        assert_eq!(pool.run("a", || 7).await, Ok(7));
    }
}
