//! Where `unsafe` may stand.

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

use crate::{
    report,
    sources::{self, Package},
};

/// Files with `unsafe` code, and what it is needed for.
const ALLOWED: &[(&str, &str)] = &[
    (
        "runtime/node/src/console.rs",
        "looks whether standard output was closed",
    ),
    ("runtime/node/src/faults.rs", "a handler of bus errors"),
    ("runtime/node/src/roles/code.rs", "gives pages of code back"),
    ("runtime/node/src/roles/solo/peak.rs", "vector instructions"),
    ("runtime/node/src/roles/worker.rs", "inherited descriptors"),
    (
        "runtime/node/src/shm/arrivals.rs",
        "memory that processes hand over",
    ),
    (
        "runtime/node/src/shm/futex.rs",
        "a system call that nix does not have",
    ),
    (
        "runtime/node/src/shm/handed.rs",
        "memory that processes hand over",
    ),
    (
        "runtime/node/src/shm/handed/tests.rs",
        "memory that processes hand over",
    ),
    (
        "runtime/node/src/shm/segment/mod.rs",
        "a mapping that processes share",
    ),
    (
        "runtime/node/src/shm/segment/words.rs",
        "a mapping that processes share",
    ),
    (
        "runtime/node/src/shm/slots/loan.rs",
        "memory that processes hand over",
    ),
    (
        "runtime/node/src/shm/slots/mod.rs",
        "memory that processes hand over",
    ),
    (
        "runtime/node/src/sources/stream/child.rs",
        "a child that ends with its parent",
    ),
    ("runtime/node/src/udp/address.rs", "addresses of the system"),
    ("runtime/node/src/udp/control.rs", "messages of the kernel"),
    (
        "runtime/node/src/udp/filter.rs",
        "a socket option that nix does not have",
    ),
    ("runtime/node/src/udp/inbox.rs", "several datagrams a call"),
    ("runtime/node/src/udp/outbox.rs", "several datagrams a call"),
    (
        "runtime/node/src/udp/tests.rs",
        "a socket option that nix does not have",
    ),
    (
        "runtime/node/src/workers/handover.rs",
        "inherited descriptors",
    ),
    ("runtime/src/arena/guarded.rs", "guard pages"),
    ("runtime/src/strip.rs", "mutable strips of one buffer"),
    (
        "runtime/src/team/mod.rs",
        "a borrowed closure on several threads",
    ),
    (
        "runtime/src/team/shared_slice.rs",
        "one slice that several threads write",
    ),
    ("runtime/src/weights.rs", "a mapped file"),
    ("runtime/tests/team_loom.rs", "a cell under loom"),
];

/// True if `unsafe` is one of the tokens.
fn has_unsafe(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(name) => name == "unsafe",
        TokenTree::Group(group) => has_unsafe(group.stream()),
        _ => false,
    })
}

/// True if the compiler refuses `unsafe` in the file whose text this is, and in its modules.
fn forbids(text: &str) -> bool {
    text.lines().any(|l| l == "#![forbid(unsafe_code)]")
}

/// The root of the crate that `file` is compiled in, as far as its place tells.
fn crate_root(file: &Path, package: &Package) -> Option<PathBuf> {
    let inside = file.strip_prefix(&package.folder).ok()?;
    if inside.starts_with("src") {
        let src = package.folder.join("src");
        return [src.join("lib.rs"), src.join("main.rs")]
            .into_iter()
            .find(|f| sources::root().join(f).is_file());
    }
    // A test or bench: its own file, or its folder's `main.rs`.
    let parts: Vec<_> = inside.components().take(2).collect();
    let first = package.folder.join(parts[0]).join(parts.get(1)?);
    Some(if inside.components().count() > 2 {
        first.join("main.rs")
    } else {
        first
    })
}

#[test]
fn unsafe_stands_where_it_may() {
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    for (file, package) in sources::rust() {
        let text = sources::read(&file);
        let root = crate_root(&file, &package).filter(|r| sources::root().join(r).is_file());
        // The compiler holds the rule there; what a generator quotes is not its own code.
        if forbids(&text) || root.is_some_and(|r| forbids(&sources::read(&r))) {
            continue;
        }
        let tokens = text.parse::<TokenStream>();
        let tokens = tokens.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        if !has_unsafe(tokens) {
            continue;
        }
        let name = file.to_string_lossy().into_owned();
        if ALLOWED.iter().any(|(allowed, _)| *allowed == name) {
            seen.push(name);
        } else {
            complaints.push(format!("{name}: unsafe code"));
        }
    }
    for (allowed, what) in ALLOWED {
        if !seen.iter().any(|s| s == allowed) {
            complaints.push(format!("{allowed} ({what}): no unsafe code there any more"));
        }
    }
    report(
        &complaints,
        "Find a safe way, or list the file in ALLOWED in tests/tests/tidy/unsafe_code.rs with the reason.",
    );
}

/// A crate without a file on the list forbids `unsafe`: then the compiler holds the rule.
#[test]
fn crates_without_unsafe_code_forbid_it() {
    let mut complaints = Vec::new();
    for package in sources::packages() {
        let src = package.folder.join("src");
        if ALLOWED.iter().any(|(f, _)| Path::new(f).starts_with(&src)) {
            continue;
        }
        let root = crate_root(&src.join("lib.rs"), &package).expect("a library or a program");
        if !forbids(&sources::read(&root)) {
            complaints.push(format!("{}", root.display()));
        }
    }
    report(
        &complaints,
        "Write #![forbid(unsafe_code)] below the crate's documentation.",
    );
}
