//! All wildcards for one field, matched in one pass over a text.
//!
//! Every wildcard waits for its next piece. When the automaton finds a piece, all wildcards that wait
//! for it advance to their next one. A wildcard takes the first place of each piece, which is always
//! right. So a text costs its length, plus one step for every piece that a wildcard advances by.

use std::collections::HashMap;
use std::sync::Arc;

use super::automaton::{Automaton, NONE};
use super::one::Wildcard;
use crate::pattern::steps::Steps;

/// Up to this many wildcards are tested one by one, which is faster.
const FEW: usize = 4;
/// Bytes of text that count as one step.
const BYTES_PER_STEP: usize = 16;

/// The wildcards for one field, in all filters of a table. They are numbered.
#[derive(Debug)]
pub(crate) struct WildcardSet {
    wildcards: Box<[Arc<Wildcard>]>,
    /// `None` if there are few wildcards.
    machine: Option<Machine>,
}

#[derive(Debug)]
struct Machine {
    automaton: Automaton,
    /// The wildcards, in the same order.
    lines: Box<[Line]>,
    /// The lengths of the pieces.
    lengths: Box<[u32]>,
    /// For each piece, the wildcards that begin with it.
    beginning: Box<[Box<[u32]>]>,
    /// The wildcards without a piece between two stars.
    direct: Box<[u32]>,
}

/// The pieces between the stars of a wildcard.
#[derive(Debug)]
struct Line {
    pieces: Box<[u32]>,
}

impl WildcardSet {
    /// The set of these wildcards.
    pub(in crate::pattern) fn new(wildcards: Vec<Arc<Wildcard>>) -> Self {
        let machine = (wildcards.len() > FEW).then(|| Machine::new(&wildcards));
        Self { wildcards: wildcards.into(), machine }
    }

    /// Whether testing one wildcard alone is cheap.
    pub(in crate::pattern) fn is_small(&self) -> bool {
        self.machine.is_none()
    }

    /// The numbers of the wildcards that match, ascending. Incomplete if the steps run out.
    pub(in crate::pattern) fn matching(
        &self,
        text: &str,
        scan: &mut Scan,
        steps: &Steps,
    ) -> Box<[u32]> {
        let Some(machine) = &self.machine else {
            let numbered = self.wildcards.iter().zip(0..);
            let bytes = self.wildcards.len() * (1 + text.len() / BYTES_PER_STEP);
            if !steps.spend(bytes) {
                return Box::default();
            }
            return numbered.filter(|(one, _)| one.matches(text)).map(|(_, n)| n).collect();
        };
        scan.begin(machine);
        let mut run = Run { set: self, machine, text, scan, steps, found: Vec::new() };
        run.direct();
        run.scan();
        let mut found = run.found;
        found.sort_unstable();
        found.into()
    }

    /// The memory that the automaton takes, in bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.machine.as_ref().map_or(0, |machine| machine.automaton.size())
    }
}

impl Machine {
    fn new(wildcards: &[Arc<Wildcard>]) -> Self {
        let middles =
            || wildcards.iter().filter_map(|one| one.parts()).map(|(_, middle, _)| middle);
        let mut pieces: Vec<Box<str>> = middles().flatten().cloned().collect();
        pieces.sort_unstable();
        pieces.dedup();
        let numbers: HashMap<&str, u32> = pieces.iter().map(|piece| &**piece).zip(0..).collect();
        let mut beginning = vec![Vec::new(); pieces.len()];
        let mut direct = Vec::new();
        let mut lines = Vec::with_capacity(wildcards.len());
        for (wildcard, number) in wildcards.iter().zip(0..) {
            let middle = wildcard.parts().map_or(&[][..], |(_, middle, _)| middle);
            let line: Box<[u32]> = middle.iter().map(|piece| numbers[&**piece]).collect();
            match line.first() {
                Some(first) => beginning[*first as usize].push(number),
                None => direct.push(number),
            }
            lines.push(Line { pieces: line });
        }
        let length = |piece: &str| u32::try_from(piece.len()).unwrap_or(u32::MAX);
        Self {
            automaton: Automaton::new(&pieces),
            lines: lines.into(),
            lengths: pieces.iter().map(|piece| length(piece)).collect(),
            beginning: beginning.into_iter().map(Into::into).collect(),
            direct: direct.into(),
        }
    }
}

/// The state of the wildcards while one text is read. It is kept from text to text, so that a short
/// text does not pay for the number of wildcards.
#[derive(Debug, Default)]
pub(in crate::pattern) struct Scan {
    /// The text, by number. State that another text left is void.
    now: u32,
    /// Rises when a wildcard starts to wait for a piece for which none waited.
    epoch: u32,
    pieces: Vec<PieceState>,
    wildcards: Vec<WildcardState>,
}

#[derive(Clone, Copy, Debug)]
struct PieceState {
    /// The text in which the wildcards that begin with this piece were started.
    started_in: u32,
    /// The text to which `waiting` and `earliest` belong.
    waits_in: u32,
    /// The first wildcard that waits for this piece.
    waiting: u32,
    /// The earliest end of the piece at which one of them can advance.
    earliest: usize,
    /// The next shorter piece that may be waited for, and the epoch in which that was found.
    skip: u32,
    skip_epoch: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct WildcardState {
    /// How many pieces were found.
    found: u32,
    /// Where the text after the last piece begins.
    from: usize,
    /// The next wildcard that waits for the same piece.
    next: u32,
}

impl Scan {
    fn begin(&mut self, machine: &Machine) {
        if self.pieces.is_empty() {
            let idle = PieceState {
                started_in: 0,
                waits_in: 0,
                waiting: NONE,
                earliest: 0,
                skip: NONE,
                skip_epoch: 0,
            };
            self.pieces = vec![idle; machine.lengths.len()];
            self.wildcards = vec![WildcardState::default(); machine.lines.len()];
        }
        self.now += 1;
        self.epoch += 1;
    }
}

/// One text being read.
struct Run<'r> {
    set: &'r WildcardSet,
    machine: &'r Machine,
    text: &'r str,
    scan: &'r mut Scan,
    steps: &'r Steps,
    found: Vec<u32>,
}

impl Run<'_> {
    /// Tests the wildcards without a piece between two stars.
    fn direct(&mut self) {
        for number in &self.machine.direct {
            if !self.steps.spend(1) {
                return;
            }
            if self.set.wildcards[*number as usize].matches(self.text) {
                self.found.push(*number);
            }
        }
    }

    fn scan(&mut self) {
        if self.machine.lengths.is_empty() || !self.steps.spend(self.text.len() / BYTES_PER_STEP) {
            return;
        }
        let automaton = &self.machine.automaton;
        let mut state = 0;
        for (at, byte) in self.text.bytes().enumerate() {
            state = automaton.next(state, byte);
            let mut piece = automaton.longest(state);
            while piece != NONE {
                piece = self.awaited(piece);
                if piece == NONE {
                    break;
                }
                self.piece(piece, at + 1);
                if self.steps.exhausted() {
                    return;
                }
                piece = automaton.shorter(piece);
            }
        }
    }

    fn is_awaited(&self, piece: u32) -> bool {
        let state = &self.scan.pieces[piece as usize];
        let unstarted = state.started_in != self.scan.now;
        (unstarted && !self.machine.beginning[piece as usize].is_empty())
            || (state.waits_in == self.scan.now && state.waiting != NONE)
    }

    /// The first of `begin` and the shorter pieces after it for which a wildcard waits. Remembers the
    /// way: until a wildcard waits for another piece, it leads past the same ones.
    fn awaited(&mut self, begin: u32) -> u32 {
        let epoch = self.scan.epoch;
        let (mut piece, mut count) = (begin, 0);
        let mut is_known = true;
        while piece != NONE {
            let state = &self.scan.pieces[piece as usize];
            if state.skip_epoch == epoch {
                piece = state.skip;
            } else if self.is_awaited(piece) {
                break;
            } else {
                piece = self.machine.automaton.shorter(piece);
                is_known = false;
            }
            count += 1;
        }
        if !is_known || count > 1 {
            self.steps.spend(count);
            self.remember(begin, piece);
        }
        piece
    }

    /// Remembers that no wildcard waits for the pieces from `begin` up to `awaited`.
    fn remember(&mut self, begin: u32, awaited: u32) {
        let epoch = self.scan.epoch;
        let mut passed = begin;
        while passed != awaited {
            let shorter = self.machine.automaton.shorter(passed);
            let state = &mut self.scan.pieces[passed as usize];
            passed = if state.skip_epoch == epoch { state.skip } else { shorter };
            (state.skip, state.skip_epoch) = (awaited, epoch);
        }
    }

    /// Advances the wildcards that wait for a piece which ends at `end`.
    fn piece(&mut self, piece: u32, end: usize) {
        let now = self.scan.now;
        let state = &mut self.scan.pieces[piece as usize];
        let unstarted = state.started_in != now;
        state.started_in = now;
        let waits = state.waits_in == now && end >= state.earliest;
        let mut waiting = if waits { std::mem::replace(&mut state.waiting, NONE) } else { NONE };
        if unstarted {
            let machine = self.machine;
            for number in &machine.beginning[piece as usize] {
                if !self.steps.spend(1) {
                    return;
                }
                let Some((first, _, last)) = self.set.wildcards[*number as usize].parts() else {
                    continue;
                };
                let fits = first.len() + last.len() <= self.text.len();
                if fits && self.text.starts_with(first) && self.text.ends_with(last) {
                    self.scan.wildcards[*number as usize] =
                        WildcardState { found: 0, from: first.len(), next: NONE };
                    self.advance(*number, piece, end);
                }
            }
        }
        while waiting != NONE && self.steps.spend(1) {
            let next = self.scan.wildcards[waiting as usize].next;
            self.advance(waiting, piece, end);
            waiting = next;
        }
    }

    /// Advances a wildcard by a piece that ends at `end`, unless the piece overlaps the one before.
    fn advance(&mut self, number: u32, piece: u32, end: usize) {
        let line = &self.machine.lines[number as usize].pieces;
        let state = &mut self.scan.wildcards[number as usize];
        let mut awaited = piece;
        if state.from + self.machine.lengths[piece as usize] as usize <= end {
            state.found += 1;
            state.from = end;
            let Some(next) = line.get(state.found as usize) else {
                let last =
                    self.set.wildcards[number as usize].parts().map_or(0, |(_, _, l)| l.len());
                if end + last <= self.text.len() {
                    self.found.push(number);
                }
                return;
            };
            awaited = *next;
        }
        let earliest = state.from + self.machine.lengths[awaited as usize] as usize;
        let was_awaited = self.is_awaited(awaited);
        let now = self.scan.now;
        let place = &mut self.scan.pieces[awaited as usize];
        if place.waits_in != now || place.waiting == NONE {
            (place.waits_in, place.waiting, place.earliest) = (now, NONE, earliest);
        }
        self.scan.wildcards[number as usize].next = place.waiting;
        place.waiting = number;
        place.earliest = place.earliest.min(earliest);
        if !was_awaited {
            self.scan.epoch += 1;
        }
    }
}
