//! The reader's position over a log that is a list in memory.

use super::*;
use crate::turns::Unlimited;

/// The log on disk: unsettled events by position.
#[derive(Default)]
struct Disk(Vec<(i64, Arc<Event>)>);

fn event(tenant: &str, seq: i64, bytes: usize) -> (i64, Arc<Event>) {
    let (body, id) = (vec![b'x'; bytes].into(), format!("evt_{seq}").into());
    (seq, Arc::new(Event::new(tenant.into(), id, "k".into(), 0, 0, body)))
}

impl Disk {
    /// Appends to the disk, and tells the tail.
    fn append(&mut self, tail: &Tail, tenant: &str, seqs: impl IntoIterator<Item = i64>) {
        for seq in seqs {
            self.0.push(event(tenant, seq, 100));
            let appended = vec![event(tenant, seq, 100)];
            tail.committed(Effects { appended, ..Effects::default() });
        }
    }

    /// One scan. False if there was none to do.
    fn step(&self, tail: &Tail) -> bool {
        let Some(scan) = tail.scan() else { return false };
        self.run(tail, &scan);
        true
    }

    fn run(&self, tail: &Tail, scan: &Scan) {
        let is_meant = |(seq, event): &&(i64, Arc<Event>)| {
            let tenant = &event.tenant;
            (scan.from..scan.until).contains(seq)
                && scan.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
                && !scan.without.contains(tenant)
        };
        let events: Vec<_> = self.0.iter().filter(is_meant).take(scan.max).cloned().collect();
        let last = events.last().map(|(seq, _)| seq + 1);
        let reached = if events.len() == scan.max || scan.until == i64::MAX {
            last.unwrap_or(scan.from)
        } else {
            scan.until
        };
        tail.found(scan, reached, events);
    }
}

fn take(tail: &Tail, max: usize) -> Vec<i64> {
    tail.take(max, &Unlimited).iter().map(|(seq, _)| *seq).collect()
}

fn settle(tail: &Tail, settled: Vec<i64>) {
    tail.committed(Effects { settled, ..Effects::default() });
}

#[test]
fn live_events_come_from_memory_and_count_as_read() {
    let (tail, mut disk) = (Tail::new(1, 1), Disk::default());
    assert!(take(&tail, 10).is_empty() && tail.scan().is_none());
    disk.append(&tail, "t", 1..=3);
    assert!(tail.scan().is_none());
    assert_eq!(take(&tail, 2), [1, 2]);
    assert_eq!(take(&tail, 2), [3]);
    assert!(take(&tail, 10).is_empty());
    assert_eq!(tail.settled_below(), 1);
    settle(&tail, vec![1, 3]);
    assert_eq!(tail.settled_below(), 2);
    settle(&tail, vec![2]);
    assert_eq!(tail.settled_below(), 4);
}

#[test]
fn what_came_before_and_what_another_process_appended_is_on_disk() {
    let (tail, mut disk) = (Tail::new(5, 9), Disk::default());
    disk.0.extend([event("t", 6, 1), event("t", 8, 1)]);
    disk.append(&tail, "t", 9..=10);
    assert!(take(&tail, 10).is_empty(), "older events come first");
    assert!(disk.step(&tail));
    assert_eq!(take(&tail, 10), [6, 8, 9, 10]);
    assert_eq!(tail.settled_below(), 6);
    // Another process appends 11, and this one 12.
    disk.0.push(event("t", 11, 1));
    disk.append(&tail, "t", [12]);
    assert!(disk.step(&tail));
    assert_eq!(take(&tail, 10), [11, 12]);
    disk.append(&tail, "t", [13]);
    assert_eq!(take(&tail, 10), [13], "from memory again");
    // Nothing here says that another process appended 14.
    disk.0.push(event("t", 14, 1));
    disk.run(&tail, &tail.look());
    assert_eq!(take(&tail, 10), [14]);
}

#[test]
fn of_two_scans_of_the_same_events_one_counts() {
    let (tail, mut disk) = (Tail::new(1, 4), Disk::default());
    disk.0.extend((1..4).map(|seq| event("t", seq, 1)));
    let scan = tail.scan().unwrap();
    disk.run(&tail, &scan);
    disk.run(&tail, &scan);
    assert_eq!(take(&tail, 10), [1, 2, 3]);
}

#[test]
fn erased_events_are_not_read_from_memory_or_from_a_scan_before_the_erasure() {
    let (tail, mut disk) = (Tail::new(1, 3), Disk::default());
    disk.0.extend([event("t", 1, 1), event("t", 2, 1)]);
    let scan = tail.scan().unwrap();
    tail.committed(Effects { erased: vec![2], ..Effects::default() });
    disk.run(&tail, &scan);
    assert!(take(&tail, 10).is_empty());
    disk.0.retain(|(seq, _)| *seq != 2);
    disk.step(&tail);
    disk.append(&tail, "t", 3..=4);
    tail.committed(Effects { erased: vec![3], ..Effects::default() });
    assert_eq!(take(&tail, 10), [1, 4]);
}

#[test]
fn a_flood_leaves_memory_bounded_and_another_tenant_at_the_front() {
    let (tail, mut disk) = (Tail::new(1, 1), Disk::default());
    disk.append(&tail, "flood", 1..=40_000);
    disk.append(&tail, "quiet", [40_001]);
    assert!(tail.lock().unread.weight() <= KEPT + (2 << 10));
    let mut read = take(&tail, 64);
    assert!(read.contains(&40_001), "{read:?}");
    // Everything is read once, and in the order of its tenant.
    for round in 0..100_000 {
        let is_scanning = disk.step(&tail);
        let more = take(&tail, 300);
        settle(&tail, more.clone());
        if more.is_empty() && !is_scanning {
            break;
        }
        read.extend(more);
        if round == 20 {
            disk.append(&tail, "quiet", [40_002]);
            let next = take(&tail, 64);
            assert!(next.contains(&40_002), "{next:?}");
            read.extend(next);
        }
    }
    let flood: Vec<_> = read.iter().copied().filter(|seq| *seq <= 40_000).collect();
    assert!(flood.is_sorted());
    read.retain(|seq| *seq != 40_002);
    read.sort_unstable();
    read.dedup();
    assert_eq!(read.len(), 40_001);
    assert!(tail.lock().parked.is_empty(), "it has caught up");
    disk.append(&tail, "flood", [40_003]);
    let last = take(&tail, 100);
    assert!(last.contains(&40_003), "{last:?}");
}

#[test]
fn a_backlog_on_disk_is_searched_for_other_tenants() {
    let (tail, mut disk) = (Tail::new(1, 50_002), Disk::default());
    disk.0.extend((1..=50_000).map(|seq| event("flood", seq, 100)));
    disk.0.push(event("quiet", 50_001, 100));
    let mut read = Vec::new();
    while !read.contains(&50_001) {
        assert!(disk.step(&tail));
        read.extend(take(&tail, 64));
    }
    assert!(read.len() < 10_000, "{} events of the flood came first", read.len());
    assert_eq!(tail.settled_below(), 1);
}

#[test]
fn many_light_tenants_are_not_parked_and_nothing_is_skipped() {
    let (tail, mut disk) = (Tail::new(1, 1), Disk::default());
    for seq in 1..=20_000 {
        disk.append(&tail, &format!("t{seq}"), [seq]);
    }
    assert!(tail.lock().parked.is_empty());
    assert!(tail.lock().unread.weight() <= KEPT + (2 << 10));
    let mut read = Vec::new();
    while read.len() < 20_000 {
        disk.step(&tail);
        read.extend(take(&tail, 512));
    }
    read.sort_unstable();
    assert_eq!(read, (1..=20_000).collect::<Vec<i64>>());
}
