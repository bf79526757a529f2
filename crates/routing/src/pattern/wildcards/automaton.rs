//! An Aho-Corasick automaton over the pieces of wildcards.
//!
//! It differs from the crate `aho-corasick` in one point: a state keeps the longest piece that ends
//! there, and a piece keeps the next shorter one. That crate copies the list of all pieces into every
//! state, so a hostile set of pieces (`a`, `aa`, `aaa`, …) takes memory that grows with the square of
//! its length. Here every byte of a piece costs 13 bytes at most.

use std::iter;
use std::ops::Range;

/// No piece.
pub(super) const NONE: u32 = u32::MAX;

const ROOT: u32 = 0;

/// The automaton. States are numbered by depth, and the children of a state are adjacent.
#[derive(Debug)]
pub(super) struct Automaton {
    /// The byte that leads into a state.
    labels: Box<[u8]>,
    /// The first child of a state. Its children end where those of the next state begin.
    children: Box<[u32]>,
    /// The state for the longest proper suffix.
    fails: Box<[u32]>,
    /// The longest piece that ends in a state.
    ends: Box<[u32]>,
    /// For a piece: the next shorter piece that ends where it does.
    shorter: Box<[u32]>,
    /// The children of the root by byte, or the root.
    root: Box<[u32; 256]>,
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("the length of all wildcards is bounded")
}

impl Automaton {
    /// The automaton of these pieces, which are sorted, distinct and not empty.
    pub(super) fn new(pieces: &[Box<str>]) -> Self {
        let (labels, children, mut ends) = trie(pieces);
        let mut root = Box::new([ROOT; 256]);
        for child in children[0]..children[1] {
            root[labels[child as usize] as usize] = child;
        }
        let fails = vec![ROOT; labels.len()].into();
        let shorter = vec![NONE; pieces.len()].into();
        let mut new = Self {
            labels: labels.into(),
            children: children.into(),
            fails,
            ends: Box::default(),
            shorter,
            root,
        };
        for state in 0..number(new.labels.len()) {
            for child in new.children[state as usize]..new.children[state as usize + 1] {
                // Shorter suffixes have smaller numbers, so their states are finished.
                let fail = match state {
                    ROOT => ROOT,
                    state => new.next(new.fails[state as usize], new.labels[child as usize]),
                };
                new.fails[child as usize] = fail;
                let suffix = ends[fail as usize];
                match ends[child as usize] {
                    NONE => ends[child as usize] = suffix,
                    piece => new.shorter[piece as usize] = suffix,
                }
            }
        }
        new.ends = ends.into();
        new
    }

    /// The state after a byte.
    pub(super) fn next(&self, mut state: u32, byte: u8) -> u32 {
        while state != ROOT {
            if let Some(child) = self.child(state, byte) {
                return child;
            }
            state = self.fails[state as usize];
        }
        self.root[byte as usize]
    }

    fn child(&self, state: u32, byte: u8) -> Option<u32> {
        let (first, end) = (self.children[state as usize], self.children[state as usize + 1]);
        let labels = &self.labels[first as usize..end as usize];
        let at = match labels {
            [] => return None,
            [only] => (*only == byte).then_some(0)?,
            several => several.binary_search(&byte).ok()?,
        };
        Some(first + number(at))
    }

    /// The longest piece that ends in a state.
    pub(super) fn longest(&self, state: u32) -> u32 {
        self.ends[state as usize]
    }

    /// The next shorter piece that ends where a piece does.
    pub(super) fn shorter(&self, piece: u32) -> u32 {
        self.shorter[piece as usize]
    }

    /// The memory that it takes, in bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.labels.len()
            + 4 * (self.children.len() + self.fails.len() + self.ends.len())
            + 4 * self.shorter.len()
            + size_of_val(&*self.root)
    }
}

/// The labels, the first children, and the pieces that end in the states of the trie of the pieces.
fn trie(pieces: &[Box<str>]) -> (Vec<u8>, Vec<u32>, Vec<u32>) {
    let (mut labels, mut children, mut ends) = (vec![0], Vec::new(), vec![NONE]);
    // The states of one depth, each with its range of pieces, which is sorted by their next byte.
    let mut level: Vec<Range<usize>> = iter::once(0..pieces.len()).collect();
    let mut depth = 0;
    while !level.is_empty() {
        let mut below = Vec::new();
        let begin = ends.len() - level.len();
        for (state, mut range) in level.into_iter().enumerate() {
            children.push(number(labels.len()));
            if !range.is_empty() && pieces[range.start].len() == depth {
                ends[begin + state] = number(range.start);
                range.start += 1;
            }
            while !range.is_empty() {
                let byte = pieces[range.start].as_bytes()[depth];
                let same =
                    pieces[range.clone()].partition_point(|piece| piece.as_bytes()[depth] == byte);
                labels.push(byte);
                ends.push(NONE);
                below.push(range.start..range.start + same);
                range.start += same;
            }
        }
        level = below;
        depth += 1;
    }
    children.push(number(labels.len()));
    (labels, children, ends)
}
