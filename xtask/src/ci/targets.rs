//! All test targets: compiled by one call of cargo, then run here, two at a time.
//!
//! Cargo runs targets one after another. Half of them compute or compile; the others mostly wait, for boards that start,
//! time-outs, cameras. So there are two lanes, one of each kind, which take half the time of one.

use std::{
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

/// Compiles and runs all tests but those in documentation. Tests of whole clusters share two cores with each other's processes: a target
/// that fails is run once more, alone, and is returned if it then passes. More than [`AGAIN_MAX`] such targets are no accident.
///
/// # Errors
/// When anything does not compile, or tests fail.
pub fn run(env: &[(&str, &str)]) -> Result<Vec<String>> {
    let targets = compiled()?;
    let begun = Instant::now();
    note!("{} test targets, two at a time", targets.len());
    let (waiting, busy): (Vec<&Target>, Vec<&Target>) = targets.iter().partition(|t| t.waits());
    let ended = Mutex::new(Vec::new());
    thread::scope(|scope| -> Result<()> {
        let other = scope.spawn(|| lane(&waiting, env, &ended));
        let mine = lane(&busy, env, &ended);
        other
            .join()
            .unwrap_or_else(|e| std::panic::resume_unwind(e))?;
        mine
    })?;
    let mut ended = ended
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    note!("  {:.0} s", begun.elapsed().as_secs_f32());
    ended.sort_by_key(|r| std::cmp::Reverse(r.took));
    note!("the slowest test targets:");
    for ran in ended.iter().take(SHOWN) {
        let lane = if ran.target.waits() {
            "waits"
        } else {
            "computes"
        };
        note!(
            "{:6.0} s  {:8}  {}",
            ran.took.as_secs_f32(),
            lane,
            ran.target.flags
        );
    }
    let failed: Vec<&Ran> = ended.iter().filter(|r| !r.passed).collect();
    let names = |all: &[&Ran]| {
        let names: Vec<&str> = all.iter().map(|r| &*r.target.flags).collect();
        names.join(", ")
    };
    ensure!(
        failed.len() <= AGAIN_MAX,
        "tests failed: {}",
        names(&failed)
    );
    for ran in &failed {
        note!("once more, alone:");
        ensure!(
            ran.target.run(env)?.passed,
            "cargo test {} failed",
            ran.target.flags
        );
    }
    Ok(failed.iter().map(|r| r.target.flags.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

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
