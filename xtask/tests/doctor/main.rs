//! `doctor` and `top` on real boards and clusters: faults are caused, and found; healthy ones are left alone.
//!
//! | file | causes |
//! |---|---|
//! | `alone.rs` | what `node doctor` finds on a board |
//! | `probes.rs` | what `xtask doctor` finds between boards where nodes run as probes |
//! | `running.rs` | what it finds of a running cluster; what `top` shows |
//! | `net.rs` | boards as network namespaces |

mod alone;
mod common;
mod net;
mod probes;
mod running;
