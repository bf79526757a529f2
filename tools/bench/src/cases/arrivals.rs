//! Waiting for what was sent, and the rates that follow.

use std::time::Instant;

use anyhow::bail;

use super::{LONGEST, LOOK};
use crate::actors::{Load, Router, Sink};
use crate::peers::message::now_us;
use crate::peers::sink::Arrivals;
use crate::report::{Figures, float};

/// Waits until `count` different events have arrived.
pub(super) async fn arrived(
    sink: &mut Sink,
    mut router: Option<&mut Router>,
    count: usize,
) -> anyhow::Result<Arrivals> {
    let began = Instant::now();
    loop {
        let arrivals = sink.ask("count").await?;
        if arrivals.distinct >= count {
            return Ok(arrivals);
        }
        if let Some(router) = &mut router {
            router.check()?;
        }
        if began.elapsed() > LONGEST {
            bail!("only {} of {count} arrived in {} s", arrivals.distinct, LONGEST.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Sends at `rate` a second, and waits until all requests have arrived.
pub(super) async fn open(
    (sink, router): (&mut Sink, Option<&mut Router>),
    to: &str,
    rate: &str,
    seconds: f64,
    how: &[&str],
) -> anyhow::Result<Arrivals> {
    sink.ask("reset").await?;
    let seconds = seconds.to_string();
    let loaded = Load::start(&[&["open", to, &seconds, rate], how].concat())?.end().await?;
    arrived(sink, router, loaded.sent).await?;
    sink.ask("report").await
}

/// The rate from the start of the sending process to the last arrival.
pub(super) fn rate(figures: &mut Figures, count: usize, began_us: u64, arrivals: &Arrivals) {
    let us = arrivals.last_us.saturating_sub(began_us).max(1);
    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
    let seconds = us as f64 / 1e6;
    figures.set("seconds", seconds);
    figures.set("per_s", float(count) / seconds);
}

/// The rate up to now, when nothing is left to be written.
pub(super) fn note_settled(figures: &mut Figures, router: &Router, count: usize) {
    let us = now_us().saturating_sub(router.began_us).max(1);
    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
    figures.set("settled_per_s", float(count) * 1e6 / us as f64);
}
