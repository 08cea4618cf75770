//! All test targets: those that compute run by `cargo test --workspace`, the others beside it.
//!
//! Cargo runs targets one after another. Half of them compute or compile; the others mostly wait, for boards that start,
//! time-outs, cameras. So there are two lanes, one of each kind, which take half the time of one. Cargo runs targets by a program
//! (`.ci/target`) that passes over those of the other lane.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{children, out::note, strip, workspace};

/// Targets whose tests mostly wait, by package and name.
const WAITING: &[(&str, &str)] = &[
    ("tessera-mqtt", "broker"),
    ("tessera-node", "tessera_node"),
    ("tessera-node", "workers"),
    ("tessera-tests", "cluster"),
    ("tessera-tests", "service"),
    ("xtask", "commands"),
    ("xtask", "deploy"),
    ("xtask", "doctor"),
];

/// Failed targets that may be run once more.
const AGAIN_MAX: usize = 4;
/// Targets in the list of the slowest ones.
const SHOWN: usize = 15;

/// A line that cargo writes about what it has made.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    profile: Profile,
    #[serde(default)]
    target: Named,
    #[serde(default)]
    package_id: String,
}

#[derive(Default, Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Default, Deserialize)]
struct Named {
    name: String,
    kind: Vec<String>,
}

/// A compiled target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    package: String,
    name: String,
    /// As cargo's flags name it.
    flags: String,
    executable: PathBuf,
    folder: PathBuf,
}

impl Target {
    /// The target of a line of cargo's; `None` for lines about anything else.
    fn of(line: &str) -> Option<Self> {
        let message: Message = serde_json::from_str(line).ok()?;
        if message.reason != "compiler-artifact" || !message.profile.test {
            return None;
        }
        let package = package(&message.package_id)?;
        let name = message.target.name;
        let flags = match message.target.kind.first()?.as_str() {
            kind @ ("test" | "bin" | "bench" | "example") => {
                format!("-p {package} --{kind} {name}")
            }
            _ => format!("-p {package} --lib"),
        };
        Some(Self {
            flags,
            name,
            package,
            executable: message.executable?,
            folder: message.manifest_path.parent()?.into(),
        })
    }

    fn waits(&self) -> bool {
        WAITING.contains(&(&*self.package, &*self.name))
    }

    /// Runs the tests as cargo does; prints what they said once they have ended.
    fn run(&self, env: &[(&str, &str)]) -> Result<Ran> {
        let begun = Instant::now();
        let mut command = Command::new(&self.executable);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            // Tests of macros are linked to the compiler's own library.
            .env("LD_LIBRARY_PATH", strip::libraries()?)
            .envs(env.iter().copied());
        // One pipe for both streams, so that their lines stay in order.
        let (mut reader, writer) = std::io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let mut child = children::spawn(&mut command)
            .with_context(|| format!("cannot start {}", self.executable.display()))?;
        // The command holds the pipe's other end, too.
        drop(command);
        let mut said = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut said)?;
        let passed = child.wait()?.success();
        let took = begun.elapsed();
        note!(
            "     Running {} ({:.0} s)\n{}",
            self.flags,
            took.as_secs_f32(),
            String::from_utf8_lossy(&said)
        );
        Ok(Ran {
            target: self.clone(),
            passed,
            took,
        })
    }
}

/// How a target's tests ended.
struct Ran {
    target: Target,
    passed: bool,
    took: Duration,
}

/// The name in a package's id: `path+file:///w/xtask#0.1.0`, `path+file:///w/runtime/node#tessera-node@0.1.0`.
fn package(id: &str) -> Option<String> {
    let (path, behind) = id.rsplit_once('#')?;
    let name = match behind.split_once('@') {
        Some((name, _)) => name,
        None => Path::new(path).file_name()?.to_str()?,
    };
    Some(name.to_owned())
}

fn compiled() -> Result<Vec<Target>> {
    note!("$ cargo test --workspace --no-run");
    let begun = Instant::now();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["test", "--workspace", "--no-run", "--quiet"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace::root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let out = children::spawn(&mut cargo)
        .context("cannot start cargo")?
        .output()?;
    ensure!(
        out.status.success(),
        "cargo test --workspace --no-run failed"
    );
    let lines = String::from_utf8_lossy(&out.stdout);
    let targets: Vec<Target> = lines.lines().filter_map(Target::of).collect();
    ensure!(!targets.is_empty(), "cargo names no test targets");
    note!("  {:.0} s", begun.elapsed().as_secs_f32());
    Ok(targets)
}

/// Runs targets one after another, and keeps how they ended.
fn lane(targets: &[&Target], env: &[(&str, &str)], ended: &Mutex<Vec<Ran>>) -> Result<()> {
    for target in targets {
        let ran = target.run(env)?;
        ended
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(ran);
    }
    Ok(())
}

/// What `cargo test --workspace` said and how long its targets took, in the order in which they ran.
#[derive(Default)]
struct Said {
    passed: bool,
    /// Flags of the targets that failed: `-p tessera-tests --test cluster`.
    failed: Vec<String>,
    /// What ran, as cargo names it.
    took: Vec<(String, Duration)>,
}

/// The flags in a line of the list with which `cargo test --no-fail-fast` ends: ``    `-p tessera-tests --test cluster` ``.
fn failed_target(line: &str) -> Option<&str> {
    let flags = line.strip_prefix("    `")?.strip_suffix('`')?;
    flags.starts_with("-p ").then_some(flags)
}

/// The target that cargo says it runs now: `     Running tests/golden.rs (target/debug/deps/golden-0)`.
fn begun_target(line: &str) -> Option<&str> {
    let what = line.strip_prefix("     Running ");
    what.or_else(|| line.strip_prefix("   Doc-tests "))
}

/// Calls the README's test command, which passes over the targets `beside`.
fn cargo_test(beside: &[&Target], env: &[(&str, &str)]) -> Result<Said> {
    note!("$ cargo test --workspace --no-fail-fast");
    let host = host()?.to_uppercase().replace('-', "_");
    let list: Vec<String> = beside
        .iter()
        .map(|t| t.executable.display().to_string())
        .collect();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .envs(env.iter().copied())
        .env(
            format!("CARGO_TARGET_{host}_RUNNER"),
            workspace::root().join(".ci/target"),
        )
        .env("TESSERA_BESIDE", list.join("\n"))
        .current_dir(workspace::root())
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = children::spawn(&mut command).context("cannot start cargo")?;
    let mut said = Said::default();
    let mut running: Option<(String, Instant)> = None;
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            note!("{line}");
            said.failed.extend(failed_target(&line).map(str::to_owned));
            if let Some(name) = begun_target(&line) {
                let before = running.replace((name.to_owned(), Instant::now()));
                said.took
                    .extend(before.map(|(name, at)| (name, at.elapsed())));
            }
        }
    }
    said.took
        .extend(running.map(|(name, at)| (name, at.elapsed())));
    said.passed = child.wait()?.success();
    Ok(said)
}

/// The compiler's name of this machine.
fn host() -> Result<String> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let out = rustc.arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let host = text.lines().find_map(|l| l.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

/// Compiles and runs all tests. Tests of whole clusters share two cores with each other's processes: a target
/// that fails is run once more, alone, and is returned if it then passes. More than [`AGAIN_MAX`] such targets are no accident.
///
/// # Errors
/// When anything does not compile, or tests fail.
pub fn run(env: &[(&str, &str)]) -> Result<Vec<String>> {
    let targets = compiled()?;
    let begun = Instant::now();
    let waiting: Vec<&Target> = targets.iter().filter(|t| t.waits()).collect();
    ensure!(
        waiting.len() == WAITING.len(),
        "a target of WAITING in xtask/src/ci/targets.rs is not there any more"
    );
    let ended = Mutex::new(Vec::new());
    let said = thread::scope(|scope| -> Result<Said> {
        let other = scope.spawn(|| lane(&waiting, env, &ended));
        let said = cargo_test(&waiting, env);
        other
            .join()
            .unwrap_or_else(|e| std::panic::resume_unwind(e))?;
        said
    })?;
    let ended: Vec<Ran> = ended
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    note!("  {:.0} s", begun.elapsed().as_secs_f32());
    show_slowest(&said, &ended);
    ensure!(
        said.passed || !said.failed.is_empty(),
        "cargo test --workspace failed"
    );
    let beside = ended.iter().filter(|r| !r.passed);
    let mut failed = said.failed;
    failed.extend(beside.map(|r| r.target.flags.clone()));
    ensure!(
        failed.len() <= AGAIN_MAX,
        "tests failed: {}",
        failed.join(", ")
    );
    for flags in &failed {
        note!("once more, alone:");
        let target = targets.iter().find(|t| t.flags == *flags);
        let target = target.with_context(|| format!("cargo test {flags} failed"))?;
        ensure!(target.run(env)?.passed, "cargo test {flags} failed");
    }
    Ok(failed)
}

fn show_slowest(said: &Said, beside: &[Ran]) {
    let cargos = said
        .took
        .iter()
        .map(|(name, took)| (took, "computes", name));
    let besides = beside.iter().map(|r| (&r.took, "waits", &r.target.flags));
    let mut all: Vec<_> = cargos.chain(besides).collect();
    all.sort_by_key(|(took, ..)| std::cmp::Reverse(*took));
    note!("the slowest test targets:");
    for (took, lane, name) in all.into_iter().take(SHOWN) {
        note!("{:6.0} s  {lane:8}  {name}", took.as_secs_f32());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_is_read() {
        let failed = "    `-p tessera-tests --test cluster`";
        assert_eq!(
            failed_target(failed),
            Some("-p tessera-tests --test cluster")
        );
        assert_eq!(failed_target("    `no target`"), None);
        let running = "     Running tests/golden.rs (target/debug/deps/golden-0)";
        let name = "tests/golden.rs (target/debug/deps/golden-0)";
        assert_eq!(begun_target(running), Some(name));
        assert_eq!(
            begun_target("   Doc-tests tessera_runtime"),
            Some("tessera_runtime")
        );
        assert_eq!(begun_target("   Compiling syn v3.0.10"), None);
    }

    #[test]
    fn targets_of_lines() {
        let line = |kind: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///w/runtime/node#tessera-node@0.1.0","manifest_path":"/w/runtime/node/Cargo.toml",
                "target":{{"kind":["{kind}"],"name":"workers"}},"profile":{{"test":{test}}},"executable":"/w/target/debug/deps/workers-1"}}"#
            )
        };
        let target = Target::of(&line("test", true)).unwrap();
        assert_eq!(target.flags, "-p tessera-node --test workers");
        assert_eq!(target.folder, Path::new("/w/runtime/node"));
        assert!(target.waits());
        assert_eq!(
            Target::of(&line("lib", true)).unwrap().flags,
            "-p tessera-node --lib"
        );
        assert_eq!(Target::of(&line("bin", false)), None);
        assert_eq!(
            Target::of(r#"{"reason":"build-finished","success":true}"#),
            None
        );
        assert_eq!(
            package("path+file:///w/xtask#0.1.0").as_deref(),
            Some("xtask")
        );
    }
}
