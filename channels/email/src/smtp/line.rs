//! Mails in line for a connection, when all are busy.
//!
//! Whoever sends a message may announce the next mail right behind it: RFC 2920, section 3.1, lets the
//! commands that begin a mail stand in one group with the end of the message before. A mail then takes
//! one round trip instead of two, and the server is never without work. The connection goes over to the
//! mail that was announced once the answer to the message is there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::pool::Held;
use crate::compose::Announcement;

/// Mails in line, the first to be sent at the front.
#[derive(Default)]
pub(super) struct Line {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    mails: VecDeque<Next>,
    joined: u64,
}

/// A mail that waits, and where its sender looks for a connection.
pub(super) struct Next {
    pub(super) announcement: Arc<Announcement>,
    number: u64,
    seat: oneshot::Sender<Held>,
}

impl Line {
    /// At the end of the line.
    pub(super) fn join(
        &self,
        announcement: &Arc<Announcement>,
    ) -> (Spot<'_>, oneshot::Receiver<Held>) {
        let (seat, offered) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.joined += 1;
        let number = waiting.joined;
        waiting.mails.push_back(Next { announcement: Arc::clone(announcement), number, seat });
        (Spot { line: self, number }, offered)
    }

    /// Takes the first mail out of the line, unless a server takes none of its size. Its sender then
    /// waits for this connection alone.
    pub(super) fn next(&self, limit: Option<usize>) -> Option<Next> {
        let fits = |next: &mut Next| limit.is_none_or(|limit| next.announcement.size <= limit);
        self.lock().mails.pop_front_if(fits)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic runs under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Next {
    /// Hands over the connection on which the mail was announced. If nobody waits for it any more, it is
    /// closed: a server that reads no message takes none.
    pub(super) fn take(self, held: Held) {
        drop(self.seat.send(held));
    }
}

/// A mail's place in the line, given up by drop.
pub(super) struct Spot<'l> {
    line: &'l Line,
    number: u64,
}

impl Spot<'_> {
    /// Leaves the line; false when the mail has been announced on a connection already.
    pub(super) fn leave(&self) -> bool {
        let mut waiting = self.line.lock();
        let found = waiting.mails.binary_search_by_key(&self.number, |next| next.number);
        found.ok().and_then(|at| waiting.mails.remove(at)).is_some()
    }
}

impl Drop for Spot<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(size: usize) -> Arc<Announcement> {
        let address = || "jane@example.com".parse().unwrap();
        Arc::new(Announcement { from: address(), to: address(), size })
    }

    fn sizes(line: &Line) -> Vec<usize> {
        line.lock().mails.iter().map(|next| next.announcement.size).collect()
    }

    #[test]
    fn who_leaves_the_line_is_not_announced_and_who_is_announced_cannot_leave() {
        let line = Line::default();
        let mails = [1, 2, 3, 4].map(mail);
        let [first, second, third, fourth] = mails.each_ref().map(|mail| line.join(mail));
        assert_eq!(line.next(None).unwrap().announcement.size, 1);
        assert!(!first.0.leave());
        assert!(third.0.leave());
        assert!(!third.0.leave());
        assert_eq!(sizes(&line), [2, 4]);
        drop(second);
        assert_eq!(sizes(&line), [4]);
        drop(fourth);
        assert!(line.next(None).is_none());
    }

    #[test]
    fn a_mail_that_a_server_does_not_take_is_not_announced_to_it() {
        let line = Line::default();
        let _spots = [30, 10].map(|size| line.join(&mail(size)));
        assert!(line.next(Some(20)).is_none(), "the order is kept");
        assert_eq!(line.next(Some(30)).unwrap().announcement.size, 30);
        assert_eq!(line.next(Some(30)).unwrap().announcement.size, 10);
    }
}
