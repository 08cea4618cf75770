//! Signals that would otherwise end a node without a message.

use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::write,
};

/// The message of a node that cannot read a part of a mapped file.
const BUS_ERROR: &[u8] =
    b"error: a bus error: the weights file was cut short while this node used it, \
or its disk failed; copy weights.bin again\n";

/// Makes the process print its reason when such a signal ends the process. Call this function first: threads
/// inherit the signal mask.
pub fn handle() {
    let action = SigAction::new(
        SigHandler::Handler(say_and_end),
        SaFlags::SA_RESETHAND,
        SigSet::empty(),
    );
    // SAFETY: the handler calls write(2) and _exit(2) alone, which are async-signal-safe.
    let done = unsafe { sigaction(Signal::SIGBUS, &action) };
    // Without the handler the system's words are left: "bus error".
    let _ = done;
    // A file that has reached the limit of its size is an error of the write, not the process' end.
    let mut limit = SigSet::empty();
    limit.add(Signal::SIGXFSZ);
    let _ = limit.thread_block();
}

extern "C" fn say_and_end(_: libc::c_int) {
    let _ = write(std::io::stderr(), BUS_ERROR);
    // SAFETY: ends this process; nothing runs afterwards.
    unsafe { libc::_exit(1) }
}
