//! Applies the folder of tenant files to a running server: on SIGHUP, when a file changes, and when
//! the store has lost its tenants.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::super::tenant_files::{self, MissingSecrets};
use crate::config::Config;
use crate::tenant::Channels;
use fanfare_store::Store;

/// How often to check whether the store has lost its tenants.
const LOSS_CHECK: Duration = Duration::from_secs(2);
/// Editors save a file in several steps. Read it when they are done.
const EDIT_PAUSE: Duration = Duration::from_millis(200);

/// SIGHUP ends a process that does not handle it. Without a folder of tenant files there is nothing
/// to load, but a reload must not end the server.
pub(super) async fn survive_hangups(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        tracing::warn!("SIGHUP loads nothing: there is no folder of tenant files (--tenants)");
    }
}

/// The folder, and the settings by which its files are checked.
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    pub(super) config: Config,
    pub(super) channels: Channels,
}

impl Folder {
    /// Applies the folder on each signal, change, and loss, until `stop`.
    pub(super) async fn watch(self, store: Store, mut hangup: Signal, stop: CancellationToken) {
        let (changed, mut changes) = mpsc::channel(1);
        // Dropped with this function, which ends the watch.
        let _watcher = self.watcher(changed);
        let mut loss_check = interval(LOSS_CHECK);
        loss_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // An empty folder makes a store without tenants, which has lost none.
        let mut had_tenants = store.directory.version().await.ok() != Some(0);
        loop {
            tokio::select! {
                _ = hangup.recv() => {}
                // A Redis that was flushed, or restarted without its data, is at version 0.
                _ = loss_check.tick() => {
                    let Ok(version) = store.directory.version().await else { continue };
                    let had = std::mem::replace(&mut had_tenants, version > 0);
                    if version > 0 || !had {
                        continue;
                    }
                    tracing::warn!("the store lost its tenants; applying the tenant files again");
                }
                Some(()) = changes.recv() => {
                    sleep(EDIT_PAUSE).await;
                    while changes.try_recv().is_ok() {}
                }
                () = stop.cancelled() => return,
            }
            self.apply(&store).await;
            // The store may lose them again before the next check.
            had_tenants |= store.directory.version().await.is_ok_and(|version| version > 0);
        }
    }

    /// Reports changes of the folder's files to `changed`.
    fn watcher(&self, changed: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // If the channel is full, a change is already known.
                let _ = changed.try_send(());
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            let mode = notify::RecursiveMode::NonRecursive;
            notify::Watcher::watch(&mut watcher, &self.dir, mode)?;
            Ok(watcher)
        });
        let dir = self.dir.display();
        watcher
            .inspect_err(|error| {
                tracing::warn!(%error, "cannot watch {dir} for changes; send SIGHUP to apply them");
            })
            .ok()
    }

    async fn apply(&self, store: &Store) {
        let Self { dir, config, channels } = self;
        let dirs = std::slice::from_ref(dir);
        match tenant_files::apply(store, config, channels, dirs, MissingSecrets::Refuse).await {
            Ok(changed) if changed.is_empty() => {}
            Ok(changed) => tracing::info!(tenants = changed.join(", "), "tenant files applied"),
            Err(problems) => {
                for problem in problems {
                    tracing::error!("{problem}");
                }
                tracing::error!("no tenant file was applied; the previous settings stay active");
            }
        }
    }
}
