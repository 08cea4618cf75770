//! The bad inputs of the semantics page (section 8), one test per row, as people meet them: the
//! command is run, its exit code and its words are checked. Nothing may panic, and no input may
//! make it ask for much memory: every run has 1 GiB of address space and a minute.

mod cfgs;
mod files;
mod rig;
