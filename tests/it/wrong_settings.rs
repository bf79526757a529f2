//! A hundred wrong configurations: none is accepted silently, none makes a panic, and every message
//! names the place and what to write. `fanfare serve` refuses the same ones with the same words.

use crate::scene::{Said, Scene, said};

/// Words that say what to do.
const REMEDIES: [&str; 19] = [
    "must ",
    "did you mean",
    "write ",
    "use ",
    "remove",
    "choose",
    "set ",
    "add ",
    "for example",
    "the keys here are",
    "the settings are",
    "is missing",
    "create one",
    "such as",
    "give each",
    "save the file",
    "is a section",
    "check ",
    "the destinations are",
];

/// Settings, and the key or words that the message names.
const SETTINGS: [(&str, &str); 55] = [
    ("store = ''", "store: "),
    ("store = 'reddis://127.0.0.1:6379'", "store: "),
    ("store = 'postgres://h/db'", "store: "),
    ("store = 'http://127.0.0.1:6379'", "store: "),
    ("store = 'redis://h:port'", "store: "),
    ("store = 'redis+sentinel://h:26379'", "store: "),
    ("store = 5", "store: "),
    ("stor = 'x'", "stor: "),
    ("listen = 'localhost:8400'", "listen: "),
    ("listen = '127.0.0.1'", "listen: "),
    ("listen = 8400", "listen: "),
    ("listen = '127.0.0.1:99999'", "listen: "),
    ("development = 'yes'", "development: "),
    ("development = 1", "development: "),
    ("grace = 25", "grace: "),
    ("grace = 'soon'", "grace: "),
    ("retention = '0s'", "retention: "),
    ("retention = '-3d'", "retention: "),
    ("retention = '30 moons'", "retention: "),
    ("log = 'debug'", "log: "),
    ("[log]\nfilter = 'inf0'", "log.filter: "),
    ("[log]\nfilter = ''", "log.filter: "),
    ("[log]\nfilter = 'fanfare=loud'", "log.filter: "),
    ("[log]\nformat = 'jsn'", "log.format: "),
    ("[log]\nlevel = 'debug'", "log.level: "),
    ("[metrics]\nkey = ''", "metrics.key: "),
    ("[metrics]\nenabled = 'true'", "metrics.enabled: "),
    ("[tracing]\nsample = 1.5", "tracing.sample: "),
    ("[tracing]\nsample = 'all'", "tracing.sample: "),
    ("[tracing]\notlp_endpoint = 'nowhere'", "tracing.otlp_endpoint: "),
    ("[tracing]\notlp_endpoint = 'grpc://h:4317'", "tracing.otlp_endpoint: "),
    ("[http]\nalias = 'kyc'", "http.alias: "),
    ("[http]\nalias = '/v1'", "http.alias: "),
    ("[http]\nalias = '/a b'", "http.alias: "),
    ("[http]\nburst = 0", "http.burst: "),
    ("[http]\nburst = -1", "http.burst: "),
    ("[http]\nmax_connections = 0", "http.max_connections: "),
    ("[http]\nidle_timeout = '10ms'", "http.idle_timeout: "),
    ("[http]\nbody_memory_bytes = '128MiB'", "http.body_memory_bytes: "),
    ("[events]\nmax_depth = 5000", "events.max_depth: "),
    ("[events]\nmax_bytes = 99999999", "events.max_bytes: "),
    ("[events]\nmax_bytes = '256KiB'", "events.max_bytes: "),
    ("[events]\nmax_batch = 0", "events.max_batch: "),
    ("[router]\nwindow = 0", "router.window: "),
    ("[router]\nlease = '1ms'", "router.lease: "),
    ("[router]\nthreads = 99999", "router.threads: "),
    ("[redis]\nwait_timeout = '10s'", "redis.wait_timeout: "),
    ("[quotas]\nstream_over_rate = 'drop'", "quotas.stream_over_rate: "),
    ("[dns]\nservers = ['ns.example']", "dns.servers"),
    ("[webhook]\nallowed_networks = ['10.0.0.0/99']", "webhook.allowed_networks"),
    ("[email]\nsecurity = 'ssl'", "email.security: "),
    ("[email]\nusername = 'x'", "email.password: "),
    ("[ingest]\nkey = 'short'", "ingest.key: "),
    ("[ingest.sources.shop]\nid_path = 'id'", "ingest.sources.shop: "),
    ("[http\nburst = 1", "is not TOML"),
];

/// What follows the head of a tenant file, and the place that the message names.
const TENANTS: [(&str, &str); 45] = [
    ("[[destination]]\nchannel = 'poll'", "destination 1, id: "),
    ("[[destination]]\nid = 'x'", "destination \"x\", channel: "),
    ("[[destination]]\nid = 'X y'\nchannel = 'poll'", "destination \"X y\", id: "),
    ("[[destination]]\nid = 5\nchannel = 'poll'", "destination 1, id: "),
    ("[[destination]]\nid = 'x'\nchannel = 'webhok'", "destination \"x\", channel: "),
    ("[[destination]]\nid = 'x'\nchannel = 'sms'", "destination \"x\", channel: "),
    ("[[destination]]\nid = 'x'\nchannel = 'poll'\nurl = 'https://h'", "destination \"x\", url: "),
    (
        "[[destination]]\nid = 'x'\nchannel = 'poll'\n[[destination]]\nid = 'x'\nchannel = 'poll'",
        "\"x\", id: ",
    ),
    ("[destination]\nid = 'x'", "destination: "),
    ("HOOK", "destination \"h\", url: "),
    ("HOOK\nurl = 'h.example/x'", "destination \"h\", url: "),
    ("HOOK\nurl = 'http://h.example/x'", "destination \"h\", url: "),
    ("HOOK\nurl = 'https://h example/x'", "destination \"h\", url: "),
    ("HOOK\nurl = 'https://127.0.0.1/x'", "destination \"h\", url: "),
    ("HOOK\nurl = 'ftp://h.example/x'", "destination \"h\", url: "),
    ("HOOK\nurl = ['https://h.example']", "destination \"h\", url: "),
    ("URL\nsecret = 'short'", "destination \"h\", secret: "),
    ("URL\nsecret = 'whsec_not base64'", "destination \"h\", secret: "),
    ("URL\nsecret = { env = 'FANFARE_TEST_UNSET' }", "destination \"h\", secret: "),
    ("URL\nsecret = { enviroment = 'X' }", "destination \"h\", secret: "),
    ("URL\nsecret = 12345678901234567", "destination \"h\", secret: "),
    ("URL", "destination \"h\", secret: "),
    ("URL\nretires = ['5s']", "destination \"h\", retires: "),
    ("URL\nretry = '5s'", "destination \"h\", retry: "),
    ("URL\nretry = ['5s', 'soon']", "destination \"h\", retry[1]: "),
    ("URL\nrate = '10 per second'", "destination \"h\", rate: "),
    ("URL\nrate = 10", "destination \"h\", rate: "),
    ("URL\nconcurrency = 0", "destination \"h\", concurrency: "),
    ("URL\nfifo = 'very'", "destination \"h\", fifo: "),
    ("URL\ntimeout = '1h'", "destination \"h\", timeout: "),
    ("URL\ndigest = { schedule = 'daily' }", "destination \"h\", digest.schedule: "),
    (
        "URL\ndigest = { schedule = '0 8 * * *', timezone = 'Madrid' }",
        "destination \"h\", digest.timezone: ",
    ),
    ("URL\nenvironment = 'prod'", "destination \"h\", environment: "),
    ("URL\nheaders = { 'bad name' = 'x' }", "destination \"h\", headers"),
    ("MAIL\nto = ['a@@b.example']", "destination \"m\", to[0]: "),
    ("MAIL\nto = []", "destination \"m\", to: "),
    ("MAIL\nto = ['a@b.example', 'A@b.example']", "destination \"m\", to[1]: "),
    ("BOX\n[[route]]\nevents = 'kyc.**'\nto = ['b']", "route 1, events: "),
    ("BOX\n[[route]]\nevents = ['kyc.*x']\nto = ['b']", "route 1, events[0]: "),
    ("BOX\n[[route]]\nevents = ['kyc.**']\nto = 'b'", "route 1, to: "),
    ("BOX\n[[route]]\nevents = ['kyc.**']\nto = ['c']", "route 1, to[0]: "),
    (
        "BOX\n[[route]]\nevents = ['kyc.**']\nto = ['b']\nwhen = { data = { n = 5 } }",
        "route 1, when",
    ),
    ("BOX\n[[route]]\nevent = ['kyc.**']\nto = ['b']", "route 1, event: "),
    ("[quotas]\nkey = 5", "quotas"),
    ("[templates]\n'email/kyc.session.created/subject.txt.hbs' = '{{#if data.x}}y'", "templates"),
];

/// The whole text of a tenant file.
fn tenant(text: &str) -> String {
    let text = text
        .replace("HOOK", "[[destination]]\nid = 'h'\nchannel = 'webhook'")
        .replace(
            "URL",
            "[[destination]]\nid = 'h'\nchannel = 'webhook'\nurl = 'https://h.example/x'",
        )
        .replace("MAIL", "[[destination]]\nid = 'm'\nchannel = 'email'")
        .replace("BOX", "[[destination]]\nid = 'b'\nchannel = 'poll'");
    format!("[tenant]\nid = 'a'\n{text}\n")
}

/// Why a refusal is not good enough.
fn fault(refusal: &Said, file: &str, place: &str) -> Option<String> {
    let error = &refusal.err;
    let wrong = |what: &str| Some(format!("{what}: {error}"));
    if refusal.code != Some(1) {
        return wrong(&format!("the exit code is {:?}", refusal.code));
    }
    if error.contains("panicked") {
        return wrong("a panic");
    }
    let lines = error.lines().filter(|line| line.starts_with("error: "));
    let Some(line) = lines.clone().find(|line| line.contains(place)) else {
        return wrong(&format!("no `{place}`"));
    };
    if !line.starts_with(&format!("error: {file}:")) {
        return wrong("the file or the line is missing");
    }
    let has_remedy = REMEDIES.iter().any(|word| line.contains(word));
    if has_remedy { None } else { wrong("no remedy") }
}

#[test]
fn a_hundred_wrong_configurations_are_refused_with_place_and_remedy() {
    let scene = Scene::embedded();
    let mut faults = Vec::new();
    for (text, place) in SETTINGS {
        let file = scene.file("wrong.toml", text);
        let refusal = said(&["check", "--config", &file]);
        faults.extend(fault(&refusal, &file, place).map(|fault| format!("{text:?}\n{fault}")));
    }
    for (text, place) in TENANTS {
        let file = scene.file("wrong-tenant.toml", tenant(text));
        let refusal = said(&["check", &file]);
        faults.extend(fault(&refusal, &file, place).map(|fault| format!("{text:?}\n{fault}")));
    }
    assert_eq!(SETTINGS.len() + TENANTS.len(), 100);
    assert!(faults.is_empty(), "{} of 100:\n{}", faults.len(), faults.join("\n"));
}

/// Every tenth, because a server takes longer to start than a check.
#[test]
fn serve_refuses_what_check_refuses_in_the_same_words() {
    let scene = Scene::embedded();
    for (text, _) in SETTINGS.iter().step_by(10) {
        let file = scene.file("wrong.toml", text);
        let checked = said(&["check", "--config", &file]).refused(1);
        let served = said(&["serve", "--config", &file]).refused(1);
        assert_eq!(served, checked, "{text}");
    }
    for (text, _) in TENANTS.iter().step_by(10) {
        let path = scene.tenant("wrong", "");
        std::fs::write(&path, tenant(text)).expect("our own file");
        let checked = said(&["check", &path.display().to_string()]).refused(1);
        let dir = scene.tenants().display().to_string();
        let served = scene.run(&["serve", "--listen", "127.0.0.1:0", "--tenants", &dir]);
        let served = served.refused(1);
        for line in checked.lines() {
            assert!(served.contains(line), "{text}: {line}\n{served}");
        }
    }
}

#[test]
fn what_is_probably_not_meant_is_a_warning_and_accepted() {
    let scene = Scene::embedded();
    let text = "[[destination]]\nid = 'b'\nchannel = 'poll'\nname = '${NAME}'\n\
                [[route]]\nevents = ['a.*']\nexcept = ['a.**']\nto = ['b']\n\
                [[route]]\nevents = ['a.*']\nto = ['b']\nwhen = { risk = [1] }\n";
    let path = scene.tenant("acme", text);
    std::fs::write(path.with_file_name("globex.tml"), "x").expect("our own file");
    let dir = scene.tenants().display().to_string();
    let checked = said(&["check", &dir]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    for expected in ["`${NAME}`", "route 1, except", "route 2, when", "globex.tml: is not read"] {
        assert!(checked.err.contains(expected), "{expected}: {}", checked.err);
    }
    assert_eq!(checked.err.lines().filter(|line| line.starts_with("warning: ")).count(), 4);
    let json = said(&["check", "--json", &dir]).ok_json();
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(4), "{json}");
}
