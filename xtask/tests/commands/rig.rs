//! Runs the command on files in a folder of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tessera_tests::rig::{End, Group};

/// Longest run.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest time to compile a node and to run it.
const COMPILED: Duration = Duration::from_secs(900);
/// Address space of a run, in KiB.
const ADDRESS_KIB: u32 = 1 << 20;

/// How a run ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// A folder with files.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.at(name), bytes).unwrap();
        self
    }

    /// A folder with the same files and folders of files.
    pub fn copy_of(other: &Self) -> Self {
        let copy = Self::new();
        let mut cp = Command::new("cp");
        let done = cp.arg("-r").arg(other.at(".")).arg(copy.at("."));
        assert!(done.status().unwrap().success());
        copy
    }

    /// Runs the demo's network inside the folder, two rows and columns of tiles; what `--json` says of it.
    pub fn run_demo(&self, flags: &[&str]) -> serde_json::Value {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo");
        let json = self.at("found.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(["run", "--grid", "2x2", "--offload", "8"])
            .args(flags)
            .arg("--model")
            .arg(demo.join("demo.cfg"))
            .arg("--json")
            .arg(&json)
            .env("TMPDIR", self.at("."))
            .current_dir(self.at("."));
        let group = Group::start(command, "xtask", &self.at(".")).unwrap();
        let end = group.wait(COMPILED).unwrap();
        assert_eq!(end, End::Code(0), "{}", group.errors());
        serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap()
    }

    /// Runs `xtask` inside the folder.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[])
    }

    /// The same with these variables in its environment.
    pub fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let output = self.at("xtask.stdout");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -v {ADDRESS_KIB}; exec \"$@\""))
            .args(["sh", env!("CARGO_BIN_EXE_xtask")])
            .args(args)
            .env("RUST_BACKTRACE", "0")
            .envs(variables.iter().copied())
            .env("RAYON_NUM_THREADS", "2")
            .current_dir(self.0.path())
            .stdout(File::create(&output).unwrap());
        let group = Group::start(command, "xtask", self.0.path()).unwrap();
        let end = group
            .wait(LIMIT)
            .unwrap_or_else(|e| panic!("{args:?}: {e:#}"));
        let ran = Ran {
            code: match end {
                End::Code(code) => code,
                End::Signal(_) => -1,
            },
            out: fs::read_to_string(&output).unwrap(),
            err: group.errors(),
        };
        assert!(!ran.err.contains("panicked"), "{args:?}: {}", ran.err);
        assert!((0..=3).contains(&ran.code), "{args:?}: {end:?} {}", ran.err);
        ran
    }
}

impl Ran {
    /// Checks the exit code, and that every one of `words` was said.
    #[track_caller]
    pub fn says(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{}", self.err);
        for w in words {
            assert!(self.err.contains(w), "{w:?} is missing in:\n{}", self.err);
        }
        // Whoever fails says so and how to go on.
        if code != 0 {
            assert!(self.err.contains("error: "), "{}", self.err);
        }
        self
    }

    /// Checks that all went well without a word of warning.
    #[track_caller]
    pub fn is_fine(&self) -> &Self {
        self.says(0, &[]);
        assert!(!self.err.contains("warning"), "{}", self.err);
        self
    }
}

/// Runs `inspect` on a cfg.
pub fn inspect(cfg: impl AsRef<[u8]>) -> Ran {
    Folder::new()
        .with("net.cfg", cfg)
        .run(&["inspect", "net.cfg"])
}

/// A cfg of `[net]` for 32 x 32 x 3 and what follows; what follows begins in line 5.
pub fn net(layers: &str) -> String {
    format!("[net]\nwidth=32\nheight=32\nchannels=3\n{layers}")
}

/// A convolution of four filters, 5 lines.
pub const CONV: &str = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n";
