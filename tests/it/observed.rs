//! What operators see: metrics that Prometheus' own parser accepts and that add up, traces in a
//! real collector, and log lines that are JSON and contain nothing confidential.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Fanfare, Hook, Launch, PATIENCE, Peer, Redis, request, run_peer, run_verifier, until,
};
use crate::verifiers::SECRET;

const SAMPLES: &str = include_str!("../../config/samples/kyc.ndjson");
/// Stands in payloads and addresses, and must stand nowhere else.
const MARKER: &str = "Zyx-Marker-42";
/// W3C's own example.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A tenant with a receiver that fails once, one that takes everything, and a paused one.
struct Scene {
    dir: TempDir,
    hook: Peer,
    flaky: Peer,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        let hook = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
        let args = ["--secret", SECRET, "--fail-first", "1", "503"];
        let flaky = Peer::start("http_receiver.mjs", &args);
        let table = format!(
            r#"
            tenant = {{ id = "acme", name = "Acme" }}
            [[destination]]
            id = "hook"
            channel = "webhook"
            url = "{hook}"
            secret = "{SECRET}"
            [[destination]]
            id = "flaky"
            channel = "webhook"
            url = "{flaky}"
            secret = "{SECRET}"
            retry = ["300ms", "300ms"]
            [[destination]]
            id = "paused"
            channel = "webhook"
            url = "{hook}"
            secret = "{SECRET}"
            paused = true
            [[route]]
            events = ["kyc.session.*", "kyc.job.*"]
            to = ["hook"]
            [[route]]
            events = ["kyc.session.rejected"]
            to = ["flaky"]
            [[route]]
            events = ["kyc.job.completed"]
            to = ["paused"]
            "#,
            hook = hook.url(&format!("/{MARKER}")),
            flaky = flaky.url("/flaky"),
        );
        fs::create_dir(dir.path().join("tenants")).expect("a folder");
        fs::write(dir.path().join("tenants/acme.toml"), table).expect("written");
        Self { dir, hook, flaky }
    }

    fn launch(&self, store: &str) -> Launch {
        Fanfare::serve(store, &self.dir.path().join("tenants"))
    }

    fn embedded(&self) -> Launch {
        self.launch(self.dir.path().join("store").to_str().expect("a plain path"))
    }

    /// Settings beside the flags.
    fn with(&self, launch: Launch, settings: &str) -> Launch {
        let file = self.dir.path().join("fanfare.toml");
        fs::write(&file, settings).expect("written");
        launch.arg("--config").arg(file)
    }

    /// Waits until all that the samples lead to has arrived.
    fn arrived(&self) {
        self.hook.wait_for::<Hook>(8, PATIENCE);
        self.flaky.wait_for::<Hook>(2, PATIENCE);
    }
}

/// A scrape, read by Prometheus' parser.
struct Scrape {
    text: String,
    series: BTreeMap<String, f64>,
}

/// Name, labels, value.
type Sample = (String, BTreeMap<String, String>, f64);

impl Scrape {
    fn of(fanfare: &Fanfare) -> Self {
        let answer = fanfare.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let kind = answer.header("content-type").expect("a content type");
        assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
        let question = serde_json::json!({ "text": answer.body });
        let parsed = run_verifier("parse_metrics.py", &question).expect("OpenMetrics text");
        let samples = Vec::<Sample>::deserialize(&parsed["samples"]).expect("samples");
        let series = samples.into_iter().map(|(name, labels, value)| {
            let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            (format!("{name}{{{}}}", labels.join(",")), value)
        });
        Self { text: answer.body, series: series.collect() }
    }

    /// Scrapes until a series has a value: settling follows arrival.
    fn when(fanfare: &Fanfare, series: &str, value: f64) -> Self {
        Self::once(fanfare, |scrape| scrape.is(series, value))
            .unwrap_or_else(|last| panic!("{series} is never {value}:\n{}", last.text))
    }

    /// The first scrape that is `right`; the last, as an error, when none is.
    fn once(fanfare: &Fanfare, right: impl Fn(&Self) -> bool) -> Result<Self, Self> {
        let scraped = || Some(Self::of(fanfare)).filter(&right);
        until(PATIENCE, scraped).ok_or_else(|| Self::of(fanfare))
    }

    fn get(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("no {series} in\n{}", self.text))
    }

    #[expect(clippy::float_cmp, reason = "counts are exact")]
    fn is(&self, series: &str, value: f64) -> bool {
        self.get(series) == value
    }

    /// The series of a name that are not zero.
    fn of_name(&self, name: &str) -> BTreeMap<&str, u64> {
        let named = self.series.iter().filter_map(|(series, value)| {
            let labels = series.strip_prefix(name)?.strip_prefix('{')?.strip_suffix('}')?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let count = *value as u64;
            (count > 0).then_some((labels, count))
        });
        named.collect()
    }
}

fn send_samples(fanfare: &Fanfare) {
    let headers = [("content-type", "application/x-ndjson")];
    let path = "/v1/events?tenant=acme";
    let answer = request(fanfare.address(), "POST", path, &headers, SAMPLES.as_bytes());
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 202, "{}", answer.body);
}

#[test]
fn the_metrics_of_a_known_run_are_exact() {
    let scene = Scene::new();
    let fanfare = scene.embedded().start();
    send_samples(&fanfare);
    let first = SAMPLES.lines().next().expect("a sample");
    assert_eq!(fanfare.post("/v1/events?tenant=acme", first).status, 202);
    assert_eq!(fanfare.post("/v1/events?tenant=acme", r#"{"type":"a"}"#).status, 422);
    assert_eq!(fanfare.post("/v1/events?tenant=nobody", r#"{"type":"a"}"#).status, 404);
    scene.arrived();

    let delivered = "fanfare_deliveries_total{channel=webhook,state=delivered}";
    let scrape = Scrape::when(&fanfare, delivered, 9.0);
    let all = |name| scrape.of_name(name);
    let is = |pairs: &[(&'static str, u64)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
    assert_eq!(
        all("fanfare_http_events_total"),
        is(&[("outcome=accepted", 12), ("outcome=duplicate", 1), ("outcome=rejected", 2)])
    );
    assert_eq!(
        all("fanfare_events_rejected_total"),
        is(&[("code=missing_field,via=http", 1), ("code=unknown_tenant,via=http", 1)])
    );
    assert_eq!(
        all("fanfare_events_total"),
        is(&[("outcome=routed,source=store", 8), ("outcome=unrouted,source=store", 4)])
    );
    assert_eq!(
        all("fanfare_attempts_total"),
        is(&[("channel=webhook,result=ok", 9), ("channel=webhook,result=http_5xx", 1)])
    );
    // One is paused, one was retried; and on a busy machine an attempt may take so long that it is
    // put in its queue meanwhile.
    let mut deliveries = all("fanfare_deliveries_total");
    assert!(deliveries.remove("channel=webhook,state=waiting") >= Some(2));
    assert_eq!(deliveries, is(&[("channel=webhook,state=delivered", 9)]));
    assert_eq!(all("fanfare_attempt_seconds_count"), is(&[("channel=webhook", 10)]));
    assert_eq!(all("fanfare_delivery_seconds_count"), is(&[("channel=webhook", 9)]));
    assert_eq!(all("fanfare_event_settle_seconds_count"), is(&[("", 12)]));
    let items = all("fanfare_store_call_items_sum");
    for (call, count) in [("call=append", 13), ("call=admit", 12), ("call=settle", 12)] {
        assert_eq!(items.get(call), Some(&count), "{call}: {items:?}");
    }
    assert!(all("fanfare_store_call_failures_total").is_empty());

    // The paused destination's delivery is all that waits.
    for (series, value) in [
        ("fanfare_deliveries_waiting{}", 1.0),
        ("fanfare_tenants{}", 1.0),
        ("fanfare_lanes{}", 3.0),
        ("fanfare_store_up{}", 1.0),
        ("fanfare_circuits_open{}", 0.0),
        ("fanfare_attempts_in_flight{}", 0.0),
        ("fanfare_window_size{}", 4_096.0),
        (concat!("fanfare_build_info{version=", env!("CARGO_PKG_VERSION"), "}"), 1.0),
    ] {
        let scrape = Scrape::when(&fanfare, series, value);
        assert!(scrape.get("fanfare_oldest_waiting_age_seconds{}") > 0.0);
    }
    Scrape::when(&fanfare, "fanfare_window_used{}", 0.0);
    let scrape = Scrape::when(&fanfare, "fanfare_leases_held{}", 0.0);
    assert!(scrape.get("process_resident_memory_bytes{}") > 1e6);
    assert!(scrape.get("process_cpu_seconds_total{}") > 0.0);
    assert!(scrape.get("process_open_fds{}") > 3.0);
}

#[test]
fn entries_of_producers_are_counted_apart_from_fanfares_own() {
    let (scene, redis) = (Scene::new(), Redis::start());
    let fanfare = scene.launch(&redis.url()).start();
    let file = scene.dir.path().join("events.ndjson");
    fs::write(&file, [SAMPLES, "\nno json\n"].concat()).expect("written");
    let path = file.to_str().expect("a plain path");
    for _ in 0..2 {
        run_peer("add_events.py", &["--url", &redis.url(), "--tenant", "acme", path]);
    }
    assert_eq!(fanfare.post("/v1/events?tenant=acme", r#"{"type":"a","data":{}}"#).status, 202);
    scene.arrived();
    let count = |scrape: &Scrape| scrape.of_name("fanfare_events_total").values().sum::<u64>();
    let scrape = Scrape::once(&fanfare, |scrape| count(scrape) == 27);
    let scrape = scrape.unwrap_or_else(|last| panic!("{}", last.text));
    let expected = [
        ("outcome=duplicate,source=stream", 12),
        ("outcome=rejected,source=stream", 2),
        ("outcome=routed,source=stream", 8),
        ("outcome=unrouted,source=store", 1),
        ("outcome=unrouted,source=stream", 4),
    ];
    assert_eq!(scrape.of_name("fanfare_events_total"), expected.into());
    assert_eq!(
        scrape.of_name("fanfare_events_rejected_total"),
        [("code=not_json,via=log", 2)].into()
    );
}

#[test]
fn no_input_adds_series_or_label_values() {
    let scene = Scene::new();
    let fanfare = scene.embedded().start();
    let names = |scrape: &Scrape| scrape.series.keys().cloned().collect::<BTreeSet<_>>();
    let before = names(&Scrape::of(&fanfare));
    assert!(before.len() < 1_000, "{} series", before.len());
    send_samples(&fanfare);
    for n in 0..50 {
        let event = format!(r#"{{"type":"made.up.{n}","data":{{"name":"{MARKER}"}}}}"#);
        fanfare.post("/v1/events?tenant=acme", &event);
        fanfare.post(&format!("/v1/events?tenant=nobody-{n}"), &event);
        fanfare.post("/v1/events?tenant=acme", &format!(r#"{{"type":"{n} {MARKER}"}}"#));
    }
    scene.arrived();
    let scrape = Scrape::when(&fanfare, "fanfare_event_settle_seconds_count{}", 62.0);
    assert_eq!(names(&scrape), before);
    for name in ["acme", "nobody", "made.up", "\"hook\"", MARKER] {
        assert!(!scrape.text.contains(name), "{name} in\n{}", scrape.text);
    }
}

#[test]
fn tenants_and_destinations_are_counted_if_configured() {
    let scene = Scene::new();
    let settings = "[metrics]\nper_tenant = true\nkey = 'a-key-for-the-scraper'";
    let fanfare = scene.with(scene.embedded(), settings).start();
    send_samples(&fanfare);
    scene.arrived();
    assert_eq!(fanfare.get("/metrics").status, 401);
    let headers = [("authorization", "Bearer a-key-for-the-scraper")];
    let line = "fanfare_destination_deliveries_total{tenant=\"acme\",destination=\"flaky\",state=\"delivered\"} 1";
    until(PATIENCE, || {
        let answer = request(fanfare.address(), "GET", "/metrics", &headers, b"").ok()?;
        answer.body.contains(line).then_some(())
    })
    .expect("the destination's series");

    let fanfare = scene.with(scene.launch(other(&scene).as_str()), "[metrics]\nenabled = false");
    assert_eq!(fanfare.start().get("/metrics").status, 404);
}

fn other(scene: &Scene) -> String {
    scene.dir.path().join("other").to_str().expect("a plain path").to_owned()
}

#[test]
fn a_process_without_its_store_is_alive_but_not_ready() {
    let (scene, mut redis) = (Scene::new(), Redis::start());
    let fanfare = scene.launch(&redis.url()).start();
    redis.kill9();
    let status = |path: &str| fanfare.get(path).status;
    until(PATIENCE, || (status("/readyz") == 503).then_some(())).expect("not ready");
    assert_eq!(status("/healthz"), 200);
    Scrape::when(&fanfare, "fanfare_store_up{}", 0.0);
    redis.restart();
    until(PATIENCE, || (status("/readyz") == 200).then_some(())).expect("ready again");
    Scrape::when(&fanfare, "fanfare_store_up{}", 1.0);
}

/// A line of `otlp_collector.py`.
#[derive(Debug, Deserialize)]
struct Span {
    service: String,
    name: String,
    trace: String,
    #[serde(rename = "span")]
    id: String,
    parent: String,
    kind: String,
    start: u64,
    end: u64,
    status: u8,
    attributes: BTreeMap<String, Value>,
}

fn send_traced(fanfare: &Fanfare, event: &str, traceparent: Option<&str>) {
    let headers: Vec<_> = traceparent.map(|trace| ("traceparent", trace)).into_iter().collect();
    let path = "/v1/events?tenant=acme";
    let answer = request(fanfare.address(), "POST", path, &headers, event.as_bytes());
    assert_eq!(answer.expect("an answer").status, 202);
}

fn rejected_event() -> &'static str {
    SAMPLES.lines().find(|line| line.contains("kyc.session.rejected")).expect("a sample")
}

#[test]
fn one_trace_leads_from_the_producer_to_the_webhook() {
    let (scene, collector) =
        (Scene::new(), Peer::start("otlp_collector.py", &["--token", "Bearer t"]));
    let fanfare = scene
        .with(scene.embedded(), &format!("[tracing]\notlp_endpoint = '{}'", collector.url("")))
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t")
        .start();
    send_traced(&fanfare, rejected_event(), Some(&format!("00-{TRACE}-{PARENT}-01")));
    // One at `hook`, and at `flaky` one that fails and one that does not; then the event is settled.
    let spans: Vec<Span> = collector.wait_for(7, PATIENCE);
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let [event] = *named("event") else { panic!("{spans:#?}") };
    assert_eq!(event.parent, PARENT);
    assert_eq!(event.attributes["fanfare.event.id"], "evt_06rejected");
    for span in &spans {
        assert_eq!((span.trace.as_str(), span.service.as_str()), (TRACE, "fanfare"), "{span:?}");
        assert!(span.start <= span.end, "{span:?}");
        assert!(span.name == "event" || span.parent == event.id, "{span:?}");
    }
    for (name, kind) in [("ingest", "SERVER"), ("route", "INTERNAL"), ("settle", "INTERNAL")] {
        let [span] = *named(name) else { panic!("{name} in {spans:#?}") };
        assert_eq!(span.kind, format!("SPAN_KIND_{kind}"));
    }
    let attempts = named("attempt");
    assert_eq!(attempts.len(), 3);
    let failed = attempts.iter().find(|attempt| attempt.status == 2).expect("the first at flaky");
    assert_eq!(failed.attributes["error.type"], "http_503");
    assert_eq!(failed.attributes["fanfare.status"], 503);

    // Each request carried the context of its own attempt.
    let mut hooks = scene.hook.received::<Hook>();
    hooks.extend(scene.flaky.received::<Hook>());
    let carried = hooks.iter().map(|hook| hook.headers["traceparent"].clone());
    let carried: BTreeSet<_> = carried.collect();
    let of_attempts = attempts.iter().map(|attempt| format!("00-{TRACE}-{}-01", attempt.id));
    assert_eq!(carried, of_attempts.collect());
    let text = format!("{spans:?}");
    assert!(!text.contains(MARKER) && !text.contains(SECRET), "{text}");
}

#[test]
fn the_producers_trace_is_passed_on_even_if_traces_are_not_exported() {
    let scene = Scene::new();
    let fanfare = scene.embedded().start();
    let given = format!("00-{TRACE}-{PARENT}-01");
    let mut events = SAMPLES.lines();
    send_traced(&fanfare, events.next().expect("a sample"), Some(&given));
    send_traced(&fanfare, events.next().expect("a sample"), None);
    let hooks = scene.hook.wait_for::<Hook>(2, PATIENCE);
    let trace = |id: &str| {
        let hook = hooks.iter().find(|hook| hook.body.contains(id)).expect("it arrived");
        hook.headers.get("traceparent").cloned()
    };
    assert_eq!(trace("evt_01created"), Some(given));
    assert_eq!(trace("evt_02completed"), None);
}

#[test]
fn an_event_that_its_producer_does_not_sample_is_not_exported() {
    let (scene, collector) = (Scene::new(), Peer::start("otlp_collector.py", &[]));
    let fanfare = scene
        .embedded()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url("/"))
        .env("OTEL_SERVICE_NAME", "fanfare-eu")
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .start();
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    let mut events = SAMPLES.lines();
    send_traced(&fanfare, events.next().expect("a sample"), Some(&unsampled));
    send_traced(&fanfare, events.next().expect("a sample"), None);
    let spans: Vec<Span> = collector.wait_for(5, PATIENCE);
    assert!(spans.iter().all(|span| span.trace != TRACE && span.service == "fanfare-eu"));
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace).collect();
    assert_eq!(traces.len(), 1, "one event, one trace");
    let roots = spans.iter().filter(|span| span.parent.is_empty()).collect::<Vec<_>>();
    assert_eq!((roots.len(), roots[0].name.as_str()), (1, "event"));
    let hooks = scene.hook.wait_for::<Hook>(2, PATIENCE);
    let hook = hooks.iter().find(|hook| hook.body.contains("evt_01created")).expect("it arrived");
    assert_eq!(hook.headers["traceparent"], unsampled);
}

#[test]
fn an_unreachable_collector_is_logged_once_and_delays_nothing() {
    let scene = Scene::new();
    let nobody =
        TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    let mut fanfare = scene
        .embedded()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{nobody}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", "20")
        .start();
    send_samples(&fanfare);
    scene.arrived();
    let told = || fanfare.stderr().matches("traces cannot be exported").count();
    until(PATIENCE, || (told() > 0).then_some(())).expect("it is told");
    send_traced(&fanfare, r#"{"type":"kyc.session.created","data":{}}"#, None);
    scene.hook.wait_for::<Hook>(9, PATIENCE);
    fanfare.sigterm();
    assert!(fanfare.wait_exit(Duration::from_secs(20)).success());
    assert_eq!(fanfare.stderr().matches("traces cannot be exported").count(), 1);
}

#[test]
fn log_lines_are_json_few_and_contain_no_secret() {
    let scene = Scene::new();
    // At `trace`, so that nothing that is ever logged escapes.
    let mut fanfare = scene.embedded().arg("--log").arg("trace").start();
    let marked = format!(r#"{{"type":"kyc.session.created","data":{{"name":"{MARKER}"}}}}"#);
    assert_eq!(fanfare.post("/v1/events?tenant=acme", &marked).status, 202);
    send_samples(&fanfare);
    scene.hook.wait_for::<Hook>(9, PATIENCE);
    scene.flaky.wait_for::<Hook>(2, PATIENCE);
    fanfare.sigterm();
    fanfare.wait_exit(PATIENCE);
    let log = fanfare.stderr();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let at = |levels: &[&str]| {
        lines.iter().filter(|line| levels.iter().any(|l| line["level"] == **l)).count()
    };
    assert!(at(&["DEBUG"]) >= 10, "attempts are told at debug:\n{log}");
    assert!(at(&["INFO", "WARN"]) < 8, "and none of them at info:\n{log}");
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
        let ours = line["target"].as_str().is_some_and(|target| target.starts_with("fanfare"));
        assert!(ours || line["level"] == "WARN" || line["level"] == "ERROR", "{line}");
    }
    let (hook, flaky) = (scene.hook.address().to_string(), scene.flaky.address().to_string());
    let secret = SECRET.trim_start_matches("whsec_");
    for nobodys_business in [MARKER, secret, &hook, &flaky, "risk_score", "session_id"] {
        assert!(!log.contains(nobodys_business), "{nobodys_business} in\n{log}");
    }
}
