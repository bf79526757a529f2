//! The bench measures, prints one object, and leaves no process behind. How fast it was is no concern
//! of these tests.
//!
//! They measure the `fanfare` of the same target folder. `cargo nextest run --workspace` builds it;
//! for these tests alone, run `cargo build -p fanfare` first.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use fanfare_harness::{PATIENCE, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::tempdir;

const CASES: &str = "limit_hyper,limit_reqwest,naive_redis,drain_redis,drain_embedded,fanout_10,\
                     rest_redis,rest_embedded,tenants_100k";

fn bench() -> Command {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_fanfare-bench"));
    bench.stdin(Stdio::null());
    bench
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "reads /proc")]
fn a_bench_reports_figures_by_case_and_ratios_between_them_and_draws_these() {
    let dir = tempdir().unwrap();
    let plot = dir.path().join("ratios.svg");
    let output = bench()
        .args(["--quick", "--rounds", "2", "--only", CASES, "--json", "--plot"])
        .arg(&plot)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!((&report["rounds"], &report["skipped"]), (&2.into(), &Value::Array(Vec::new())));
    let figure = |case: &str, name: &str| report["cases"][case][name].as_f64().unwrap_or_default();
    let counts = |case: &&str| !case.starts_with("rest") && *case != "tenants_100k";
    for case in CASES.split(',').filter(counts) {
        assert!(figure(case, "per_s") > 0.0, "{case}: {report}");
    }
    for store in ["embedded", "redis"] {
        for name in ["ready_ms", "resident_mib", "patch_all_p50_ms", "patch_ratio", "apply_40_s"] {
            let name = format!("{store}_{name}");
            assert!(figure("tenants_100k", &name) > 0.0, "{name}: {report}");
        }
    }
    for rate in ["open_100_p50_ms", "open_1000_p99_ms"] {
        assert!(figure("limit_hyper", rate) > 0.0, "{report}");
    }
    for case in ["drain_redis", "drain_embedded", "fanout_10"] {
        for name in ["settled_per_s", "cpu_s_per_1000_fanfare", "peak_mib_fanfare", "ready_ms"] {
            assert!(figure(case, name) > 0.0, "{case}, {name}: {report}");
        }
        let ratio = report["ratios"][format!("{case}/limit_reqwest")].as_f64();
        assert!(ratio.is_some_and(|ratio| ratio > 0.0), "{case}: {report}");
    }
    for case in ["rest_redis", "rest_embedded"] {
        for name in ["ready_ms", "ready_many_ms", "resident_mib", "idle_cpu_percent", "binary_mib"]
        {
            assert!(figure(case, name) > 0.0, "{case}, {name}: {report}");
        }
        assert_eq!(report["ratios"][format!("{case}/limit_reqwest")], Value::Null);
    }
    let picture = std::fs::read_to_string(plot).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("drain_redis"));
}

/// Children of a process, as the kernel reports them.
fn children_of(parent: u32) -> Vec<u32> {
    let ids = fs::read_dir("/proc").expect("Linux").flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent_of = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        // A zombie has ended.
        let mut fields = fields.split(' ');
        let state = fields.next()?;
        (state != "Z").then(|| fields.next()?.parse::<u32>().ok()).flatten()
    };
    ids.filter(|id| parent_of(id) == Some(parent)).collect()
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "reads /proc")]
fn a_measurement_that_is_interrupted_leaves_no_process_behind() {
    let mut bench = bench().args(["isolation", "--seconds", "60"]).spawn().unwrap();
    let started = until(PATIENCE, || {
        let children = children_of(bench.id());
        (children.len() >= 2).then_some(children)
    });
    let started = started.expect("it starts others");
    kill(Pid::from_raw(bench.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let status = until(PATIENCE, || bench.try_wait().unwrap()).expect("it ends");
    assert_eq!(status.code(), Some(1));
    let gone = || {
        let left = started.iter().filter(|id| Path::new(&format!("/proc/{id}")).exists());
        (left.count() == 0).then_some(())
    };
    until(PATIENCE, gone).expect("so do they");
}
