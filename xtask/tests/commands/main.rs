//! The commands as people meet them: exit codes, words, files.
//!
//! `bad_cfgs` and `bad_files` try the rows of `docs/darknet.md#bad-input`.
//! Nothing may panic, and no input may make a command ask for much memory: every run has 1 GiB of
//! address space and a minute.

mod bad_cfgs;
mod bad_files;
mod closed;
mod clusters;
mod emits;
mod finished;
mod kinds;
mod measured;
mod paper;
mod plans;
mod real_nodes;
mod report;
mod rig;
mod sources;
mod stand_ins;
mod systems;
mod told_to_end;
