//! Where things lie on boards.
//!
//! ```text
//! /opt/tessera/versions/ID/        a version: node, weights.bin, tessera.service, ..; ID follows from the contents of all boards' versions
//! /opt/tessera/versions/ID/secret/ cluster.toml (which may hold passwords of cameras) and keys, for root alone
//! /opt/tessera/versions/ID.part/   a version that is still sent
//! /opt/tessera/current             link to the version that runs
//! /opt/tessera/previous            link to the version before, for rollback
//! /etc/systemd/system/tessera.service
//! /etc/default/tessera             a board's own flags, if somebody wrote it
//! /etc/tessera/node.key            a key that was made on the board, if it was
//! /var/lib/tessera                 records of the gateway, a trace that was asked for; a link to /var/lib/private/tessera
//! ```

/// The name of the unit, and of its file.
pub const UNIT: &str = "tessera.service";
/// The folder of all versions.
pub const HOME: &str = "/opt/tessera";
/// The file of the unit.
pub const UNIT_FILE: &str = "/etc/systemd/system/tessera.service";
/// The folder of a version with what root alone may read.
pub const SECRET: &str = "secret";
/// The list of a version's files, with their digests.
pub const MANIFEST: &str = "manifest";
/// The file of a version with the hash of its plan.
pub const PLAN: &str = "plan";
/// The private key that was made on the board itself.
pub const OWN_KEY: &str = "/etc/tessera/node.key";
/// The unit's folder of state.
pub const STATE: &str = "/var/lib/tessera";
/// The gateway's records, below the unit's folder of state.
pub const RECORDS: &str = "records.jsonl";
/// A trace that is asked for, below the same folder.
pub const TRACE: &str = "trace";
/// The first line of the unit's file: only such a file is replaced or removed.
pub const MARK: &str = "# Written by cargo xtask deploy: the next one writes it anew.";
