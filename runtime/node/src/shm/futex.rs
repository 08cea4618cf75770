//! Sleeping on a word of shared memory until another process changes it: futex(2), which nix does not have.

use std::{sync::atomic::AtomicU32, time::Duration};

use nix::libc;

/// Sleeps until somebody wakes the sleepers of `word`, at most `most`; returns at once if the word's value is not
/// `seen`. May return early: the caller looks at the word again.
pub(super) fn wait(word: &AtomicU32, seen: u32, most: Duration) {
    let most = libc::timespec {
        tv_sec: most.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: most.subsec_nanos() as _,
    };
    // SAFETY: FUTEX_WAIT reads the word and the time, which both live during the call. The word may be shared
    // between processes, so the private form is not used.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            seen,
            &raw const most,
        );
    }
}

/// Wakes all sleepers of `word`.
pub(super) fn wake(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE takes the word's address and touches nothing.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX);
    }
}
