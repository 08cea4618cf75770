//! A job's entry as words: the task, and where its inputs and outputs lie.
//!
//! The network process writes the entry before it queues the job. The worker that leased the job reads it.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::layout::{HEAD_WORDS, PIECE_MARK, PIECE_WORDS};
use crate::sync::Words;
use tessera_plan::region::Region;

/// Set in a piece's port word when it is an output.
const OUTPUT: u32 = 1 << 31;

/// The input or output of a task that a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortIx {
    /// A piece of the input with this index.
    Input(u32),
    /// The whole output with this index.
    Output(u32),
}

/// A box whose packed values lie in the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceAt {
    /// The input or output that the piece belongs to.
    pub port: PortIx,
    /// Start of the piece, in 64-byte lines from the slots' start.
    pub place: u32,
    /// The box of the port's tensor that the piece holds.
    pub region: Region,
    /// Number of rows that are there; [`ALL_ROWS`](super::arrivals::ALL_ROWS) of a complete piece. Of an output, number of
    /// rows that are made.
    pub rows: u32,
}

/// The content of a job's entry: a task and its pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Index into [`tessera_runtime::program::Program::tasks`].
    pub task: u32,
    /// Pieces of all inputs and outputs.
    pub pieces: Vec<PieceAt>,
}

/// The entry's content is invalid: no correct network process writes such an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job's entry is spoiled")]
pub struct Spoiled;

/// Writes an entry that begins at word `at`.
pub(super) fn write(words: &impl Words, at: usize, content: &Content) {
    words.store(at, content.task, Relaxed);
    words.store(at + 1, content.pieces.len() as u32, Relaxed);
    for (k, p) in content.pieces.iter().enumerate() {
        let port = match p.port {
            PortIx::Input(i) => i,
            PortIx::Output(o) => o | OUTPUT,
        };
        let Region { y, x, c } = p.region;
        // Sides of checked programs are far below 2^32.
        let axes = [y.lo, y.hi, x.lo, x.hi, c.lo, c.hi].map(|n| n as u32);
        let mark = [p.rows, 0];
        let all = [port, p.place].into_iter().chain(axes).chain(mark);
        for (i, v) in all.enumerate() {
            words.store(at + HEAD_WORDS + k * PIECE_WORDS + i, v, Relaxed);
        }
    }
}

/// The word that holds how many rows of piece `k` are there, in an entry that begins at word `at`.
pub(super) const fn mark(at: usize, k: usize) -> usize {
    at + HEAD_WORDS + k * PIECE_WORDS + PIECE_MARK
}

/// Reads the entry that begins at word `at`.
pub(super) fn read(
    words: &impl Words,
    at: usize,
    pieces_max: usize,
    into: &mut Content,
) -> Result<(), Spoiled> {
    into.task = words.load(at, Relaxed);
    into.pieces.clear();
    let count = words.load(at + 1, Relaxed) as usize;
    if count > pieces_max {
        return Err(Spoiled);
    }
    into.pieces.extend((0..count).map(|k| {
        let word = |i: usize| words.load(at + HEAD_WORDS + k * PIECE_WORDS + i, Relaxed);
        let axis = |i: usize| [word(i) as usize, word(i + 1) as usize];
        let port = word(0);
        PieceAt {
            port: if port & OUTPUT == 0 {
                PortIx::Input(port)
            } else {
                PortIx::Output(port & !OUTPUT)
            },
            place: word(1),
            region: Region::new(axis(2), axis(4), axis(6)),
            // SYNC POINT "arrived", acquire side: the piece may have become complete since the job was queued.
            rows: words.load(mark(at, k), Acquire),
        }
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::heap_words;

    #[test]
    fn what_is_written_is_read() {
        let content = Content {
            task: 12,
            pieces: (0..5)
                .map(|k| PieceAt {
                    port: if k < 3 {
                        PortIx::Input(k)
                    } else {
                        PortIx::Output(k - 3)
                    },
                    place: 100 + k,
                    rows: 7 * k,
                    region: {
                        let k = k as usize;
                        Region::new([k, k + 1], [k + 2, k + 3], [k + 4, k + 5])
                    },
                })
                .collect(),
        };
        let words = heap_words(3 + HEAD_WORDS + 5 * PIECE_WORDS);
        write(&words, 3, &content);
        let mut back = Content::default();
        read(&words, 3, 5, &mut back).unwrap();
        assert_eq!(back, content);
        assert_eq!(read(&words, 3, 4, &mut back), Err(Spoiled));
    }
}
