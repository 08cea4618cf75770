//! A bounded work-stealing deque of words: one owner pushes and pops at the bottom, thieves take
//! from the top.
//!
//! Chase and Lev, "Dynamic circular work-stealing deque", SPAA 2005, with the orderings that Le,
//! Pop, Cohen and Zappa Nardelli proved, "Correct and efficient work-stealing for weak memory
//! models", PPoPP 2013; bounded, so the array never grows. Stealing is cut in two, [`Thief::peek`]
//! and [`Thief::remove`]: the lease of a task is written in between. `README.md` has the states,
//! the sync points by name and what may happen when a thief is killed.
//!
//! Storage is anything that gives [`Words`]: the shared segment, the heap, loom's words.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use super::layout::LINE_WORDS;
use crate::sync::Words;

/// Word of the next item to steal.
const TOP: usize = 0;
/// Word of the next free cell.
const BOTTOM: usize = LINE_WORDS;
/// First cell.
const CELLS: usize = 2 * LINE_WORDS;

/// The deque holds as many items as it has cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deque is full")]
pub struct Full;

/// Words that a deque of `cells` cells needs; `cells` must be a power of two.
pub const fn words_for(cells: usize) -> usize {
    assert!(cells.is_power_of_two(), "cells are a power of two");
    CELLS + cells
}

/// Index of a cell. Ends only ever count up and wrap; their distance is at most `cells`.
#[derive(Clone, Copy, Debug)]
struct Cells {
    mask: u32,
}

impl Cells {
    fn of(words: &impl Words, cells: usize) -> Self {
        assert!(
            cells.is_power_of_two() && cells <= 1 << 30 && words.count() >= words_for(cells),
            "a deque's cells are a power of two and lie in its words"
        );
        Self {
            mask: cells as u32 - 1,
        }
    }

    fn at(self, index: u32) -> usize {
        CELLS + (index & self.mask) as usize
    }
}

/// Signed distance from `top` to `bottom`.
fn length(top: u32, bottom: u32) -> i32 {
    bottom.wrapping_sub(top).cast_signed()
}

/// The owner's end of a deque, which pushes and pops at the bottom. All processes together have exactly one.
#[derive(Debug)]
pub struct Owner<W> {
    words: W,
    cells: Cells,
}

/// A thief's end of a deque, which steals from the top. Any process may have any number of them.
#[derive(Clone, Debug)]
pub struct Thief<W> {
    words: W,
    cells: Cells,
}

/// An item that [`Thief::peek`] saw at the top. Another thread may have removed the item since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peeked {
    top: u32,
    /// The item's value.
    pub value: u32,
}

impl<W: Words> Owner<W> {
    /// The owner's end of an empty deque over zeroed words.
    ///
    /// # Panics
    /// If `cells` is no power of two or `words` is too short.
    pub fn new(words: W, cells: usize) -> Self {
        let cells = Cells::of(&words, cells);
        Self { words, cells }
    }

    /// Puts an item at the bottom.
    ///
    /// # Errors
    /// [`Full`] when there is no cell left.
    pub fn push(&mut self, value: u32) -> Result<(), Full> {
        let bottom = self.words.load(BOTTOM, Relaxed);
        // SYNC POINT "cell free", acquire side: a thief removed what lay in this cell (release in
        // `remove`), so its read of the cell is over.
        let top = self.words.load(TOP, Acquire);
        if length(top, bottom) > self.cells.mask.cast_signed() {
            return Err(Full);
        }
        // Release: a thief that reads this value through a stale top also sees the top that let it
        // be written, and starts again (SYNC POINT "overwritten").
        self.words.store(self.cells.at(bottom), value, Release);
        // SYNC POINT "pushed", release side: who sees the new bottom sees the item and all that
        // was written before the push.
        self.words.fence(Release);
        self.words.store(BOTTOM, bottom.wrapping_add(1), Relaxed);
        Ok(())
    }

    /// Removes and returns the item at the bottom, which was pushed last.
    pub fn pop(&mut self) -> Option<u32> {
        let bottom = self.words.load(BOTTOM, Relaxed).wrapping_sub(1);
        self.words.store(BOTTOM, bottom, Relaxed);
        // SYNC POINT "last item": this fence and the one in `peek` order "bottom is lower now"
        // against "top is read"; owner and thief cannot both overlook each other.
        self.words.fence(SeqCst);
        let top = self.words.load(TOP, Relaxed);
        let left = length(top, bottom);
        if left < 0 {
            self.words.store(BOTTOM, bottom.wrapping_add(1), Relaxed);
            return None;
        }
        let value = self.words.load(self.cells.at(bottom), Relaxed);
        if left > 0 {
            return Some(value);
        }
        // The last one: whoever moves the top has it.
        let next = top.wrapping_add(1);
        let won = self.words.compare_exchange(TOP, top, next, SeqCst, Relaxed);
        self.words.store(BOTTOM, bottom.wrapping_add(1), Relaxed);
        won.is_ok().then_some(value)
    }
}

impl<W: Words> Thief<W> {
    /// A thief's end of a deque that its owner has set up.
    ///
    /// # Panics
    /// If `cells` is no power of two or `words` is too short.
    pub fn new(words: W, cells: usize) -> Self {
        let cells = Cells::of(&words, cells);
        Self { words, cells }
    }

    /// Returns the item that was at the top at some moment during the call, and leaves the item there.
    pub fn peek(&self) -> Option<Peeked> {
        // Every turn but the last saw another thief (or the owner) remove an item.
        loop {
            let top = self.words.load(TOP, Acquire);
            // SYNC POINT "last item", see `pop`.
            self.words.fence(SeqCst);
            // SYNC POINT "pushed", acquire side.
            let bottom = self.words.load(BOTTOM, Acquire);
            if length(top, bottom) <= 0 {
                return None;
            }
            // SYNC POINT "overwritten", acquire side: if this is a later item of the same cell, the
            // top that the owner saw is visible too, and differs.
            let value = self.words.load(self.cells.at(top), Acquire);
            if self.words.load(TOP, Relaxed) == top {
                return Some(Peeked { top, value });
            }
        }
    }

    /// Removes a peeked item; `false` when another thread has removed the item before.
    pub fn remove(&self, item: Peeked) -> bool {
        // SYNC POINT "cell free", release side.
        let next = item.top.wrapping_add(1);
        self.words
            .compare_exchange(TOP, item.top, next, SeqCst, Relaxed)
            .is_ok()
    }

    /// Removes and returns the item at the top.
    pub fn steal(&self) -> Option<u32> {
        loop {
            let item = self.peek()?;
            if self.remove(item) {
                return Some(item.value);
            }
        }
    }

    /// Whether the deque seemed empty; only a hint, as other threads go on.
    pub fn is_empty(&self) -> bool {
        let top = self.words.load(TOP, Relaxed);
        length(top, self.words.load(BOTTOM, Relaxed)) <= 0
    }
}

#[cfg(test)]
mod tests;
