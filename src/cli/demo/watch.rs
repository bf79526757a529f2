//! Prints each attempt as soon as it is in the ledger.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::super::{Failure, output};
use super::report::Expected;
use fanfare_store::{Attempt, DeliveryQuery, DeliveryRecord, DeliveryState, Store};

/// Waits until every expected delivery has ended, and prints the attempts meanwhile.
pub(super) async fn until_ended(
    store: &Store,
    expected: &Expected,
    timeout: Duration,
) -> Result<Vec<DeliveryRecord>, Failure> {
    let began = Instant::now();
    let mut shown: HashMap<String, usize> = HashMap::new();
    let mut digests: HashSet<String> = HashSet::new();
    loop {
        let deliveries = all(store).await?;
        for delivery in &deliveries {
            let seen = shown.entry(delivery.id.to_string()).or_default();
            for attempt in delivery.attempts.iter().skip(*seen) {
                print(delivery, attempt, &mut digests);
            }
            *seen = delivery.attempts.len();
        }
        let waits = |d: &&DeliveryRecord| d.state.is_waiting();
        let ended = deliveries.len() - deliveries.iter().filter(waits).count();
        if ended >= expected.deliveries || began.elapsed() > timeout {
            return Ok(deliveries);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn all(store: &Store) -> Result<Vec<DeliveryRecord>, Failure> {
    let mut query =
        DeliveryQuery { tenant: "acme".to_owned(), limit: 1000, ..DeliveryQuery::default() };
    let mut deliveries = Vec::new();
    loop {
        let page = store.ledger.deliveries(&query).await?;
        deliveries.extend(page.items);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    deliveries.sort_by_key(|d| d.attempts.last().map(|a| a.at_ms + i64::from(a.took_ms)));
    Ok(deliveries)
}

fn print(delivery: &DeliveryRecord, attempt: &Attempt, digests: &mut HashSet<String>) {
    let (what, kind) = match &attempt.digest {
        // One line for the one message of many deliveries.
        Some(digest) => {
            if !digests.insert(format!("{digest} {}", delivery.lane)) {
                return;
            }
            ("digest".to_owned(), "all events so far".to_owned())
        }
        None => (delivery.event.clone(), delivery.kind.clone()),
    };
    let ok = attempt.code == "ok";
    let result = match (ok, &delivery.state) {
        (true, _) => "delivered",
        (false, DeliveryState::Dead { .. }) => "dead",
        (false, _) => "retry",
    };
    // Escape sequences have no width on the terminal, so the padding is outside of them.
    let padding = " ".repeat("delivered".len().saturating_sub(result.len()));
    let result = output::state(result);
    let status = attempt.status.map(|status| status.to_string()).unwrap_or_default();
    let answer = if ok { "" } else { attempt.answer.lines().next().unwrap_or_default() };
    let destination = delivery.lane.destination();
    output::line(
        format!(
            "  {what:<15} {kind:<29} → {:<8} {destination:<17} {result}{padding} {} {}",
            delivery.channel,
            output::dim(&format!("{status:>3} {:>4} ms", attempt.took_ms)),
            output::dim(answer)
        )
        .trim_end(),
    );
}
