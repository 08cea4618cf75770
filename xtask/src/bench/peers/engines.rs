//! The Python that runs other engines, and the scripts that drive the engines.
//!
//! Scripts expected in the folder: `prepare.py OUT NAME CFG [first=N]` writes `OUT/NAME/`;
//! `run_engine.py ENGINE FOLDER THREADS SECONDS [OPTION..]` times one engine in its own process and
//! ends with a line of JSON (`min_ms`, `med_ms`, `cpu_ms`, `peak_rss_mb`).

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::sample::Sample;
use crate::{children, workspace};

/// Engines and the Python modules that they need.
const ENGINES: [(&str, &str); 5] = [
    ("ncnn", "ncnn"),
    ("mnn", "MNN"),
    ("ort", "onnxruntime"),
    ("opencv", "cv2"),
    ("openvino", "openvino"),
];
/// Modules that the scripts themselves need.
const NEEDED: [&str; 2] = ["numpy", "onnx"];
/// Environment variable that names the Python when no flag names one.
const VARIABLE: &str = "TESSERA_PEERS_PYTHON";

/// Other engines that this machine can run.
#[derive(Debug)]
pub struct Peers {
    python: PathBuf,
    dir: PathBuf,
    /// Names of engines, with options after a `+`, as `ncnn+nowino`.
    pub engines: Vec<String>,
}

const HELP: &str = "  help: python3 -m venv .venv && .venv/bin/pip install numpy onnx onnxruntime ncnn \
    'opencv-python-headless==4.14.*' openvino MNN\n        then: cargo xtask bench --peers .venv/bin/python ...";

impl Peers {
    /// Looks for the scripts, a Python and its engines. Without `python`, the function searches the usual places;
    /// with an empty `engines`, it takes all installed engines.
    ///
    /// # Errors
    /// When a script, a module or an engine is missing; the message says how to get the missing part.
    pub fn find(python: Option<&Path>, dir: Option<&Path>, engines: &[String]) -> Result<Self> {
        let dir = dir.map_or_else(
            || workspace::root().join("../shared/peers"),
            Path::to_path_buf,
        );
        for script in ["prepare.py", "run_engine.py"] {
            ensure!(
                dir.join(script).is_file(),
                "there is no {}\n  help: --peers-dir names the folder of the scripts that drive other engines; they are no part of this project",
                dir.join(script).display()
            );
        }
        let dir = std::path::absolute(dir)?;
        let python = find_python(python)?;
        let installed = installed(&python)?;
        let missing: Vec<&str> = NEEDED
            .into_iter()
            .filter(|m| !installed.iter().any(|i| i == m))
            .collect();
        ensure!(
            missing.is_empty(),
            "{} lacks {}\n{HELP}",
            python.display(),
            missing.join(" and ")
        );
        let usable = |engine: &str| {
            ENGINES
                .iter()
                .find(|e| e.0 == engine)
                .map(|e| installed.iter().any(|i| i == e.1))
        };
        let engines = if engines.is_empty() {
            let all = ENGINES.iter().map(|e| e.0);
            all.filter(|e| usable(e) == Some(true))
                .map(String::from)
                .collect()
        } else {
            for spec in engines {
                let name = spec.split('+').next().unwrap_or(spec);
                match usable(name) {
                    Some(true) => {}
                    Some(false) => bail!("{} has no {name}\n{HELP}", python.display()),
                    None => bail!(
                        "--engines {spec}: unknown; known are {}",
                        ENGINES.map(|e| e.0).join(", ")
                    ),
                }
            }
            engines.to_vec()
        };
        ensure!(
            !engines.is_empty(),
            "{} has none of {}\n{HELP}",
            python.display(),
            ENGINES.map(|e| e.1).join(", ")
        );
        Ok(Self {
            python,
            dir,
            engines,
        })
    }

    /// The command that runs a script of the folder, without arguments.
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(self.dir.join(name))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A program that lies beside the Python; `None` if there is no such program.
    pub fn tool(&self, name: &str) -> Option<Command> {
        let path = self.python.parent()?.join(name);
        path.is_file().then(|| Command::new(path))
    }

    /// Times an engine on the network prepared in `network`.
    ///
    /// # Errors
    /// When the engine fails; the message holds the end of the engine's output.
    pub fn run(&self, spec: &str, network: &Path, threads: usize, seconds: f64) -> Result<Sample> {
        let mut words = spec.split('+');
        let mut command = self.script("run_engine.py");
        command
            .args(words.next())
            .arg(network)
            .arg(threads.to_string())
            .arg(seconds.to_string())
            .args(words);
        let text = output(&mut command)?;
        let said: Value = text
            .lines()
            .rev()
            .find(|l| l.starts_with('{'))
            .and_then(|l| serde_json::from_str(l).ok())
            .context("it printed no result")?;
        let number = |key: &str| said[key].as_f64();
        match (number("min_ms"), number("med_ms")) {
            (Some(min), Some(median)) => Ok(Sample {
                min_s: min / 1e3,
                median_s: median / 1e3,
                processor_s: number("cpu_ms").map(|ms| ms / 1e3),
                peak_bytes: number("peak_rss_mb").map_or(0.0, |mb| mb * f64::from(1 << 20)),
            }),
            _ => bail!(
                "{}",
                said["error"].as_str().unwrap_or("it printed no times")
            ),
        }
    }
}

/// Runs a command; returns its standard output.
///
/// # Errors
/// When the command fails; the message holds the last lines of the command's output.
pub fn output(command: &mut Command) -> Result<String> {
    let out = children::output(command)
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        let last: Vec<&str> = said.trim_end().lines().rev().take(3).collect();
        bail!("{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn find_python(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        ensure!(
            given.is_file(),
            "--peers {}: there is no such file",
            given.display()
        );
        // Links stay as they are: a virtual environment's Python is a link, and finds its modules by its own path.
        return Ok(std::path::absolute(given)?);
    }
    if let Some(python) = env::var_os(VARIABLE) {
        return Ok(python.into());
    }
    let beside = workspace::root().join(".venv/bin/python");
    ensure!(
        beside.is_file(),
        "no Python with other engines: give --peers PYTHON, set {VARIABLE}, or make {}\n{HELP}",
        workspace::show(&beside)
    );
    Ok(std::path::absolute(beside)?)
}

/// Names of those modules that the Python can import.
fn installed(python: &Path) -> Result<Vec<String>> {
    let code = "import importlib.util, sys\nfor m in sys.argv[1:]:\n    if importlib.util.find_spec(m): print(m)";
    let mut command = Command::new(python);
    command
        .args(["-c", code])
        .args(NEEDED)
        .args(ENGINES.map(|e| e.1));
    let text =
        output(&mut command).with_context(|| format!("{} does not run", python.display()))?;
    Ok(text.lines().map(String::from).collect())
}
