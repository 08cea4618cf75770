//! The commands as people meet them: exit codes, words, files.
//!
//! The bad inputs of the semantics page (section 8) have one test per row, `row_01` to `row_50`.
//! Nothing may panic, and no input may make a command ask for much memory: every run has 1 GiB of
//! address space and a minute.

mod bad_cfgs;
mod bad_files;
mod plans;
mod rig;
