//! The store in memory keeps every promise of the traits. It is the reference model that router
//! tests run on.

use std::sync::Arc;

use fanfare_store::Store;
use fanfare_store::memory::World;

use crate::conformance::{Fixture, every_promise, search_paths};

impl Fixture for Arc<World> {
    async fn start() -> Self {
        World::indexed(search_paths())
    }

    async fn open(&self) -> Store {
        World::open(self)
    }

    async fn beside(&self) -> Store {
        World::open(self)
    }

    async fn crash(&self, store: Store) -> Store {
        drop(store);
        self.kill_all();
        World::open(self)
    }
}

every_promise!(Arc<World>);
