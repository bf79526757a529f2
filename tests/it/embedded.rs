//! What only the store in a folder promises.

/// Every promise of the conformance suite.
mod conformance {
    use std::path::PathBuf;

    use fanfare::store::Store;
    use fanfare::store::embedded::{self, Options, Role};

    use crate::conformance::{Fixture, every_promise};

    struct Folder {
        dir: tempfile::TempDir,
    }

    impl Folder {
        fn open_as(&self, role: Role) -> Store {
            let dir: PathBuf = self.dir.path().into();
            embedded::open(&dir, Options { role, readers: 2 }).expect("it opens")
        }
    }

    impl Fixture for Folder {
        async fn start() -> Self {
            Self { dir: tempfile::tempdir().expect("a folder") }
        }

        async fn open(&self) -> Store {
            self.open_as(Role::Router)
        }

        async fn beside(&self) -> Store {
            self.open_as(Role::Tool)
        }

        async fn crash(&self, store: Store) -> Store {
            drop(store);
            self.open_as(Role::Router)
        }
    }

    every_promise!(Folder);
}
