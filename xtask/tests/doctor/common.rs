//! The demo's node with its HTTP service, and the command.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use serde_json::Value;
use tessera_plan::graph::Darknet;
use tessera_tests::{
    bundle, model,
    rig::{End, Group, NodeBinary},
    shipped::folder,
};

/// Longest run of a doctor, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The committed node with its HTTP service.
pub fn node() -> &'static NodeBinary {
    static NODE: OnceLock<NodeBinary> = OnceLock::new();
    NODE.get_or_init(|| {
        let dir = folder();
        let (cfg, weights) = (dir.join("demo.cfg"), dir.join("demo.weights"));
        let model = model::load(&cfg, &weights, Darknet::Alexey).unwrap();
        let committed = bundle::root().join("generated/demo-3x3-x86-64-v3");
        bundle::committed_serving(&committed, &model).unwrap()
    })
}

/// What a doctor said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub value: Value,
    pub errors: String,
}

impl Said {
    /// Runs a command that prints JSON.
    pub fn by(mut command: Command, dir: &Path) -> Self {
        let out = dir.join("doctor.stdout");
        command
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap());
        let group = Group::start(command, "doctor", dir).unwrap();
        let end = group.wait(LIMIT).unwrap();
        let text = fs::read_to_string(out).unwrap();
        let errors = group.errors();
        let value = serde_json::from_str(&text);
        let End::Code(code) = end else {
            panic!("{end:?}: {errors}");
        };
        Self {
            code,
            value: value.unwrap_or_else(|e| panic!("{e}: {text:?}\n{errors}")),
            errors,
        }
    }

    /// Rows that were found, as `board: row`, or `row` of the board that looked. That this machine gives small receive buffers is
    /// no fault of the cluster.
    pub fn rows(&self) -> Vec<String> {
        let findings = self.value["findings"].as_array().unwrap();
        let all = findings
            .iter()
            .filter(|f| f["kind"] != "receive-buffer" || has_large_buffers());
        let row = |f: &Value| {
            let kind = f["kind"].as_str().unwrap();
            match f["board"].as_str() {
                Some(board) => format!("{board}: {kind}"),
                None => kind.to_owned(),
            }
        };
        let mut rows: Vec<String> = all.map(row).collect();
        rows.sort();
        rows
    }

    /// Checks what was found, and the exit code.
    #[track_caller]
    pub fn found(&self, rows: &[&str]) -> &Self {
        assert_eq!(self.rows(), rows, "{:#}\n{}", self.value, self.errors);
        assert_eq!(self.code, i32::from(!rows.is_empty()), "{}", self.errors);
        self
    }

    /// The finding of a row.
    pub fn finding(&self, kind: &str) -> &Value {
        let findings = self.value["findings"].as_array().unwrap();
        findings.iter().find(|f| f["kind"] == kind).unwrap()
    }
}

/// Whether this machine gives what nodes ask for.
fn has_large_buffers() -> bool {
    let text = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
    text.trim().parse::<usize>().is_ok_and(|n| n >= 1 << 20)
}

/// `cargo xtask doctor --json` with these flags.
pub fn doctor(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["doctor", "--json"]).args(flags);
    command
}
