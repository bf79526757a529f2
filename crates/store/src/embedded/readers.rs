//! The pool of reading connections. In WAL mode, readers never wait for the writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::folder::Folder;
use super::{failure, schema};
use crate::{Result, StoreError};

/// A bounded number of readers. Further calls wait.
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
    folder: Folder,
}

/// A borrowed connection. Dropping it returns it, even during a panic.
struct Loan {
    conn: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn open(folder: &Folder, count: usize) -> Result<Self> {
        let count = count.clamp(1, 64);
        let idle = (0..count).map(|_| schema::open_reader(folder)).collect::<Result<_>>()?;
        let idle = Arc::new(Mutex::new(idle));
        Ok(Self { idle, free: Arc::new(Semaphore::new(count)), folder: folder.clone() })
    }

    /// Runs `work` on a blocking thread. It sees one consistent state of the store.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let closed = |_| failure::thread_gone();
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(closed)?;
        let idle = Arc::clone(&self.idle);
        let done = tokio::task::spawn_blocking(move || {
            let conn = lock(&idle).pop();
            let loan = Loan { conn, idle };
            let answer = match &loan.conn {
                Some(conn) => in_one_state(conn, work),
                None => Err(failure::thread_gone()),
            };
            drop(loan);
            drop(permit);
            answer
        });
        match done.await {
            Ok(answer) => answer.map_err(|error| self.folder.judge(error)),
            Err(error) => {
                let message = "reading from the store was cut off".to_owned();
                Err(StoreError::Other { message, source: Some(Box::new(error)) })
            }
        }
    }
}

fn in_one_state<T>(conn: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let tx = conn.unchecked_transaction()?;
    let answer = work(&tx)?;
    tx.commit()?;
    Ok(answer)
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            lock(&self.idle).push(conn);
        }
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
