//! A folder with everything that one router needs, and the commands as they are typed beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Fanfare, Launch, Redis, run_fanfare, until};

/// How long what was sent may take to arrive on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// Tenant files, settings and a store of one's own.
pub(crate) struct Scene {
    dir: TempDir,
    store: String,
}

impl Scene {
    /// With the store in a folder.
    pub(crate) fn embedded() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let store = dir.path().join("store").display().to_string();
        Self::new(dir, store)
    }

    /// With the store in a Redis.
    pub(crate) fn on(redis: &Redis) -> Self {
        Self::new(TempDir::new().expect("a temporary folder"), redis.url())
    }

    /// With the store at an address of one's own.
    pub(crate) fn at(store: String) -> Self {
        Self::new(TempDir::new().expect("a temporary folder"), store)
    }

    fn new(dir: TempDir, store: String) -> Self {
        fs::create_dir(dir.path().join("tenants")).expect("a new folder");
        let scene = Self { dir, store };
        scene.settings("");
        scene
    }

    /// The store, as `--store` names it.
    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// A path in the scene's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The folder of tenant files.
    pub(crate) fn tenants(&self) -> PathBuf {
        self.path("tenants")
    }

    /// Writes a file; answers its path for a command line.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("the scene's own folder");
        path.display().to_string()
    }

    /// Writes the settings file.
    pub(crate) fn settings(&self, toml: &str) {
        self.file("fanfare.toml", toml);
    }

    /// Writes a tenant's file: `[tenant]` and then `toml`. Whole at once, as a deployment would: a
    /// running router sees each write.
    pub(crate) fn tenant(&self, id: &str, toml: &str) -> PathBuf {
        let written = self.file("tenant.new", format!("[tenant]\nid = \"{id}\"\n{toml}"));
        let path = self.tenants().join(format!("{id}.toml"));
        fs::rename(written, &path).expect("within one folder");
        path
    }

    /// The router, to be started.
    pub(crate) fn launch(&self) -> Launch {
        let launch = Fanfare::serve(&self.store, &self.tenants());
        launch.arg("--config").arg(self.path("fanfare.toml"))
    }

    /// The router, ready.
    pub(crate) fn start(&self) -> Fanfare {
        self.launch().start()
    }

    /// The same tenants and settings over another store.
    pub(crate) fn moved_to(mut self, store: String) -> Self {
        self.store = store;
        self
    }

    /// A command with this scene's store and settings.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        let settings = self.path("fanfare.toml").display().to_string();
        said(&[args, &["--store", &self.store, "--config", &settings]].concat())
    }

    /// What a command prints with `--json`; it must go well.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).ok_json()
    }

    /// `fanfare send` of one event a line.
    pub(crate) fn send(&self, tenant: &str, events: &[String]) -> Said {
        let file = self.file("events.ndjson", events.join("\n"));
        self.run(&["send", "--tenant", tenant, &file])
    }

    /// Every event of a tenant, as `fanfare events` lists them.
    pub(crate) fn events(&self, tenant: &str) -> Vec<Value> {
        self.pages(&["events", "--tenant", tenant])
    }

    /// Every delivery of a tenant, as `fanfare deliveries` lists them.
    pub(crate) fn deliveries(&self, tenant: &str) -> Vec<Value> {
        self.pages(&["deliveries", "--tenant", tenant])
    }

    fn pages(&self, args: &[&str]) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let mut args = [args, &["--limit", "1000"]].concat();
            if let Some(cursor) = &cursor {
                args.extend(["--cursor", cursor]);
            }
            let page = self.json(&args);
            items.extend(page["data"].as_array().expect("a list").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// Waits until so many events are known and nothing of them is under way; answers the
    /// deliveries.
    pub(crate) fn settled(&self, tenant: &str, events: usize) -> Vec<Value> {
        let settled = until(SOON, || {
            let found = self.events(tenant);
            let open = |event: &&Value| {
                event["state"] == "pending" || event["deliveries"]["waiting"] != json!(0)
            };
            let all = found.len() == events && found.iter().find(open).is_none();
            all.then(|| self.deliveries(tenant))
        });
        settled.unwrap_or_else(|| {
            panic!("not settled:\n{:#?}\n{:#?}", self.events(tenant), self.deliveries(tenant))
        })
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Said {
    /// The exit code.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Said {
    /// Standard output of what must have gone well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self.out
    }

    /// As [`Self::ok`], parsed.
    pub(crate) fn ok_json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Standard error of what must have ended with `code`.
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self.err
    }
}

/// Runs a command to its end.
pub(crate) fn said(args: &[&str]) -> Said {
    let output = run_fanfare(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// An event as a producer writes it.
pub(crate) fn event(id: &str, kind: &str, data: &Value) -> String {
    json!({ "id": id, "type": kind, "created": 1_735_228_800, "data": data }).to_string()
}

/// Events `evt_0` to `evt_N` of one type.
pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| event(&format!("evt_{n}"), "test.numbered", &json!({ "n": n }))).collect()
}

/// A tenant's webhook `hooks` at `url`, which gets every event.
pub(crate) fn hooks_at(url: &str) -> String {
    format!(
        r#"
        [[destination]]
        id = "hooks"
        channel = "webhook"
        url = "{url}"
        secret = "{SECRET}"
        retry = ["500ms", "1s", "1s", "1s", "1s", "2s", "2s", "2s", "5s", "5s"]

        [[route]]
        events = ["**"]
        to = ["hooks"]
        "#,
        SECRET = crate::verifiers::SECRET
    )
}

/// Does a folder hold a file whose name ends so?
pub(crate) fn has_file(dir: &Path, ending: &str) -> bool {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(ending))
}
