//! `#[needs(..)]`: a test that needs what is not part of this repository.
//!
//! Where the need is not met, the test is reported as *ignored*, with the reason. Where an environment
//! variable demands the need, the test always runs, and fails if the need is not met.
//!
//! | need | met by | demanded by |
//! |---|---|---|
//! | `golden` | the folder `../shared/golden` | `TESSERA_GOLDEN=1` |
//! | `ftp_facts` | `../shared/arena/ftp_facts.py` and `python3` | `TESSERA_GOLDEN=1` |
//! | `aarch64`, `armv7` | a cross linker, an emulator, Rust's standard library for that processor | `TESSERA_CROSS=1` |
//! | `ffmpeg` | `ffmpeg` in the path | `TESSERA_TOOLS=1` |
//! | `mosquitto` | `mosquitto` and `mosquitto_sub` in the path, or `mosquitto` in `/usr/sbin` | `TESSERA_TOOLS=1` |
//! | `sshd` | `sshd`, `ssh`, `ip`, `python3`, and root's right to make namespaces | `TESSERA_TOOLS=1` |
//! | `systemd` | `/lib/systemd/systemd`, and the right to make control groups of version 2 | nothing |
//! | `memory_group`, `freezer_group` | the right to make a control group of that kind (version 1) | nothing |
//! | `network_namespaces` | the right to make network namespaces, and iproute2 | nothing |
//! | `mounts` | the right to mount file systems | nothing |
//! | `faketime` | `faketime` in the path | nothing |
//! | `curl` | `curl` in the path | `TESSERA_TOOLS=1` |
//! | `bash` | `bash` in the path | nothing |
//! | `dpkg` | `dpkg`, `dpkg-deb`, and root, who installs packages | `TESSERA_TOOLS=1` |
//! | `jq` | `jq` in the path | `TESSERA_TOOLS=1` |
//! | `mandoc`, `skopeo`, `umoci` | those in the path; root for `umoci` | `TESSERA_TOOLS=1` |
//! | `python3_yaml` | the module of Python | `TESSERA_TOOLS=1` |
//! | `xz` | `tar` and `xz` in the path | `TESSERA_TOOLS=1` |
//! | `python3_requests` | the module of Python | nothing |
//! | `python3_zmq` | ZeroMQ's module of Python, of `python3` in the path or of Debian's | `TESSERA_TOOLS=1` |
//! | `x86_64v3`, `x86_64v4` | this processor | nothing |
//! | `portable` | every processor | nothing |
//!
//! Needs of processors are named as `tessera_plan::plan::Isa` names them; capitals count as small letters,
//! so that a list of instruction sets can make tests.
//!
//! The attribute looks when the test is compiled. Data that appear later are noticed at the next
//! compilation; setting the variable causes one. A test whose data disappear after its compilation fails.
//!
//! ```text
//! #[needs(golden, aarch64)]
//! #[test]
//! fn emulated_nodes_compute_what_darknet_did() { .. }
//! ```
#![forbid(unsafe_code)]

mod look;

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// Something that a test may need.
struct Need {
    name: &'static str,
    /// The variable that demands it.
    variable: Option<&'static str>,
    /// Names what is missing.
    missing: fn() -> Vec<String>,
}

const fn need(
    name: &'static str,
    variable: Option<&'static str>,
    missing: fn() -> Vec<String>,
) -> Need {
    Need {
        name,
        variable,
        missing,
    }
}

const NEEDS: [Need; 27] = [
    need("mounts", None, || {
        look::program("unshare", &["--mount", "true"])
    }),
    need("bash", None, || look::in_path("bash")),
    need("dpkg", Some("TESSERA_TOOLS"), || {
        [
            look::in_path("dpkg"),
            look::in_path("dpkg-deb"),
            look::root_user(),
        ]
        .concat()
    }),
    need("jq", Some("TESSERA_TOOLS"), || look::in_path("jq")),
    need("mandoc", Some("TESSERA_TOOLS"), || look::in_path("mandoc")),
    need("skopeo", Some("TESSERA_TOOLS"), || look::in_path("skopeo")),
    need("umoci", Some("TESSERA_TOOLS"), || {
        [look::in_path("umoci"), look::root_user()].concat()
    }),
    need("xz", Some("TESSERA_TOOLS"), || {
        [look::in_path("tar"), look::in_path("xz")].concat()
    }),
    need("python3_yaml", Some("TESSERA_TOOLS"), || {
        look::program("python3", &["-c", "import yaml"])
    }),
    need("memory_group", None, || {
        look::control_group("memory", "memory.limit_in_bytes")
    }),
    need("network_namespaces", None, look::network_namespaces),
    need("faketime", None, || look::in_path("faketime")),
    need("freezer_group", None, || {
        look::control_group("freezer", "freezer.state")
    }),
    need("golden", Some("TESSERA_GOLDEN"), look::golden),
    need("ftp_facts", Some("TESSERA_GOLDEN"), look::ftp_facts),
    need("aarch64", Some("TESSERA_CROSS"), || {
        look::cross("aarch64-unknown-linux-gnu")
    }),
    need("armv7", Some("TESSERA_CROSS"), || {
        look::cross("armv7-unknown-linux-gnueabihf")
    }),
    need("curl", Some("TESSERA_TOOLS"), || {
        look::program("curl", &["--version"])
    }),
    need("python3_requests", None, || {
        look::program("python3", &["-c", "import requests"])
    }),
    need("python3_zmq", Some("TESSERA_TOOLS"), look::python3_zmq),
    need("x86_64v3", None, look::x86_64v3),
    need("x86_64v4", None, look::x86_64v4),
    need("portable", None, Vec::new),
    need("ffmpeg", Some("TESSERA_TOOLS"), || look::in_path("ffmpeg")),
    need("sshd", Some("TESSERA_TOOLS"), look::sshd),
    need("systemd", None, look::systemd),
    need("mosquitto", Some("TESSERA_TOOLS"), look::mosquitto),
];

/// Marks a test as ignored where one of its needs is not met; the crate's page lists the needs.
///
/// The attribute stands above `#[test]`, which reads `#[ignore]`.
#[proc_macro_attribute]
pub fn needs(list: TokenStream, item: TokenStream) -> TokenStream {
    expand(list, item)
        .unwrap_or_else(|complaint| source(&format!("compile_error!({complaint:?});")))
}

fn expand(list: TokenStream, item: TokenStream) -> Result<TokenStream, String> {
    if !has_test_below(&item) {
        return Err("#[needs(..)] stands above #[test]".into());
    }
    let mut out = TokenStream::new();
    let mut missing = Vec::new();
    for token in list {
        let name = match token {
            TokenTree::Ident(name) => name.to_string(),
            TokenTree::Punct(p) if p.as_char() == ',' => continue,
            other => return Err(format!("`{other}` is no need")),
        };
        let need = NEEDS
            .iter()
            .find(|n| n.name == name.to_lowercase())
            .ok_or_else(|| format!("there is no need called `{name}`"))?;
        if let Some(variable) = need.variable {
            // Cargo compiles the test anew when the variable changes.
            out.extend(source(&format!(
                "const _: ::core::option::Option<&str> = ::core::option_env!({variable:?});"
            )));
            if std::env::var_os(variable).is_some_and(|v| v == *"1") {
                continue;
            }
        }
        missing.extend((need.missing)());
    }
    if !missing.is_empty() {
        let reason = format!("needs {}", missing.join(", "));
        out.extend(source(&format!("#[ignore = {reason:?}]")));
    }
    out.extend(item);
    Ok(out)
}

/// True if `#[test]` is one of the attributes of `item`.
fn has_test_below(item: &TokenStream) -> bool {
    item.clone().into_iter().any(|token| match token {
        TokenTree::Group(g) if g.delimiter() == Delimiter::Bracket => {
            g.stream().to_string() == "test"
        }
        _ => false,
    })
}

fn source(text: &str) -> TokenStream {
    text.parse().expect("this crate writes Rust")
}
