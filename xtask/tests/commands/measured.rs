//! Plans from what was measured: of a run (`--from-run`), and between probes (`calibrate --cluster`).

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tessera_plan::plan::Plan;
use tessera_plan_text::PlanText;
use tessera_planner::{boards::Board, options::Target};
use tessera_tests::rig::{End, Group};

use crate::rig::Folder;

/// Longest time to compile a node and to run it.
const LIMIT: Duration = Duration::from_secs(900);

fn demo(file: &str) -> String {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo");
    demo.join(file).display().to_string()
}

/// Runs the command, without a limit of memory.
fn xtask(folder: &Folder, args: &[&str]) -> (End, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(args)
        .env("TMPDIR", folder.at("."))
        .current_dir(folder.at("."));
    let group = Group::start(command, "xtask", &folder.at(".")).unwrap();
    (group.wait(LIMIT).unwrap(), group.errors())
}

/// A plan as JSON, with these flags.
fn planned(folder: &Folder, flags: &[&str]) -> Plan {
    let model = demo("demo.cfg");
    let args = [&["plan", "--model", &model, "--dry-run", "--json"], flags].concat();
    let ran = folder.run(&args);
    ran.says(0, &[]);
    serde_json::from_str(&ran.out).unwrap()
}

/// Runs the demo's picture on two edges; returns the plan that ran. The run's file is `run.json`.
fn run(folder: &Folder) -> Plan {
    let (model, picture) = (demo("demo.cfg"), demo("demo.png"));
    let args = [
        "run",
        "--model",
        &model,
        "--image",
        &picture,
        "--exact",
        "--grid",
        "2x2",
        "--offload",
        "8",
        "--target",
        "portable",
        "--stats",
        "run.json",
    ];
    let (end, said) = xtask(folder, &args);
    assert_eq!(end, End::Code(0), "{said}");
    let file: Value = serde_json::from_slice(&fs::read(folder.at("run.json")).unwrap()).unwrap();
    Plan::from_toml(file["plan"].as_str().unwrap()).unwrap()
}

/// Where `run` has compiled a plan.
fn folder_of(plan: &Plan) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tessera");
    root.join(format!("{}-{}", plan.name, &plan.digest()[..12]))
}

/// A node in its probe role, which ends with the value.
struct Probe {
    child: Child,
    at: String,
}

impl Probe {
    fn start(folder: &Path, flags: &[&str]) -> Self {
        let mut child = Command::new(folder.join("target/node"))
            .args(["probe", "--listen", "127.0.0.1:0", "--weights"])
            .arg(folder.join("weights.bin"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        let at = event["addr"].as_str().unwrap().to_owned();
        Self { child, at }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn plans_follow_what_was_measured() {
    let folder = Folder::new();
    let plan = run(&folder);
    let flags = [
        "--exact",
        "--grid",
        "2x2",
        "--offload",
        "8",
        "--target",
        "portable",
    ];
    let again = planned(&folder, &[&flags[..], &["--from-run", "run.json"]].concat());
    // The same network in the same tiles; other seconds, and the reasons say so.
    assert_eq!(again.dataflow.stages[0].grid, plan.dataflow.stages[0].grid);
    assert!(
        again.command.ends_with("--from-run run.json"),
        "{}",
        again.command
    );
    let why = again.estimates.why.join("\n");
    for words in [
        "by the run: edge 1 took",
        "by the run: the tail took",
        "links",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    // What one thread takes was measured; so it is what the run's workers and its tail took.
    let file: Value = serde_json::from_slice(&fs::read(folder.at("run.json")).unwrap()).unwrap();
    let jobs = file["edges"].as_array().unwrap().iter();
    let jobs: Vec<&Value> = jobs.flat_map(|e| e["tasks"].as_array().unwrap()).collect();
    let sum = |key: &str| jobs.iter().map(|j| j[key].as_f64().unwrap()).sum::<f64>();
    let task_s = sum("busy_us") / sum("jobs") / 1e6;
    // Workers do not count what handing a task over takes.
    let overhead_s = Board::new(Target::Portable).task_overhead_s;
    let planned_s = again.estimates.seconds["cores_busy"] / 4.0 - overhead_s;
    assert!(
        (0.5..2.0).contains(&(planned_s / task_s)),
        "{planned_s} {task_s}"
    );

    // Files of nodes need the plan beside them; others are refused.
    let ran = |file: &str| {
        let model = demo("demo.cfg");
        folder.run(&["plan", "--dry-run", "--model", &model, "--from-run", file])
    };
    let edge = serde_json::to_string(&file["edges"][0]).unwrap();
    fs::write(folder.at("edge1.json"), edge).unwrap();
    fs::write(folder.at("plan.toml"), plan.to_toml()).unwrap();
    fs::write(folder.at("odd.json"), "{\"version\":9}").unwrap();
    ran("plan.toml,edge1.json").says(0, &[]);
    ran("edge1.json").says(1, &["no plan"]);
    ran("run.json,plan.toml").says(1, &["a second plan"]);
    ran("odd.json").says(1, &["odd.json", "run --stats"]);
    ran("none.json").says(1, &["none.json"]);
    let other = [
        "plan",
        "--dry-run",
        "--model",
        "yolov2.cfg",
        "--from-run",
        "run.json",
    ];
    folder.run(&other).says(1, &["another network"]);

    calibrated(&folder, &plan);
}

/// Three probes on this machine: their links and speeds go into a copy of the cluster file, and plans follow them.
fn calibrated(folder: &Folder, plan: &Plan) {
    let built = folder_of(plan);
    let probes: Vec<Probe> = (0..3).map(|_| Probe::start(&built, &[])).collect();
    let board = |name: &str, roles: &str, at: &str| {
        format!(
            "[[board]]\nname = \"{name}\" # {name}\nroles = [{roles}]\naddress = \"{at}\"\ntarget = \"portable\"\n"
        )
    };
    let cluster = |ats: [&str; 3]| {
        let boards = [
            board("hub", "\"gateway\", \"edge\"", ats[0]),
            board("a", "\"edge\", \"source\"", ats[1]),
            board("b", "\"edge\"", ats[2]),
        ];
        format!(
            "version = 1\n[[link]]\nname = \"wifi\"\nrate = \"1Mbit\"\n{}",
            boards.concat()
        )
    };
    let ats = [0, 1, 2].map(|k| probes[k].at.as_str());
    fs::write(folder.at("cluster.toml"), cluster(ats)).unwrap();
    let flags = [
        "calibrate",
        "--cluster",
        "cluster.toml",
        "--plan",
        "plan.toml",
        "--out",
        "measured.toml",
    ];
    let (end, said) = xtask(folder, &flags);
    assert_eq!(end, End::Code(0), "{said}");
    let text = fs::read_to_string(folder.at("measured.toml")).unwrap();
    for key in ["rate", "delay", "speed"] {
        let times = text
            .lines()
            .filter(|l| l.starts_with(&format!("{key} = ")))
            .count();
        // The link's own rate stays.
        assert_eq!(times, if key == "rate" { 4 } else { 3 }, "{text}");
    }
    assert!(text.contains("name = \"a\" # a\n"), "{text}");
    let flags = [
        "--exact",
        "--grid",
        "2x2",
        "--offload",
        "8",
        "--cluster",
        "measured.toml",
    ];
    let measured = planned(folder, &flags);
    let boards = measured
        .boards
        .iter()
        .all(|b| b.link_bits_per_s > 1_000_000);
    assert!(
        boards && measured.boards.len() == 4,
        "{:?}",
        measured.boards
    );

    sealed(folder, &built, &cluster(["one", "two", "three"]));

    // Who does not answer is named, with what to start there.
    drop(probes);
    fs::write(
        folder.at("cluster.toml"),
        cluster(["127.0.0.1:9", "127.0.0.1:9", "127.0.0.1:9"]),
    )
    .unwrap();
    let ran = folder.run(&["calibrate", "--cluster", "cluster.toml"]);
    ran.says(
        1,
        &["3 of 3 boards", "on hub: ./node probe --listen 127.0.0.1:9"],
    );
}

/// The same with keys: probes answer the operator, and each other.
fn sealed(folder: &Folder, built: &Path, text: &str) {
    fs::write(folder.at("keyed.toml"), text).unwrap();
    let init = folder.run(&["cluster", "init", "--cluster", "keyed.toml"]);
    init.says(0, &[]);
    let config = folder.at("keyed.toml");
    let config = config.to_str().unwrap();
    let probe = |name| Probe::start(built, &["--config", config, "--name", name]);
    let probes = ["hub", "a", "b"].map(probe);
    let mut text = fs::read_to_string(config).unwrap();
    for (name, probe) in ["\"one\"", "\"two\"", "\"three\""].iter().zip(&probes) {
        text = text.replace(name, &format!("{:?}", probe.at));
    }
    fs::write(config, text).unwrap();
    let flags = [
        "calibrate",
        "--cluster",
        "keyed.toml",
        "--out",
        "sealed.toml",
    ];
    let (end, said) = xtask(folder, &flags);
    assert_eq!(end, End::Code(0), "{said}");
    let text = fs::read_to_string(folder.at("sealed.toml")).unwrap();
    let rates = text.lines().filter(|l| l.starts_with("rate = "));
    assert_eq!(rates.count(), 4, "{text}");
    drop(probes);
    // Without the operator's key nobody answers.
    let [key, away] = ["operator.key", "away.key"].map(|name| folder.at(name));
    fs::rename(&key, &away).unwrap();
    let (end, said) = xtask(folder, &flags);
    assert_eq!(end, End::Code(1), "{said}");
    assert!(said.contains("operator"), "{said}");
    fs::rename(&away, &key).unwrap();
    paired(folder, built);
}

/// A board joins by a code, and finds itself in the file that it got.
fn paired(folder: &Folder, built: &Path) {
    let mut pair = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["cluster", "pair", "attic", "--cluster", "keyed.toml"])
        .args(["--listen", "127.0.0.1:0", "--target", "portable"])
        .current_dir(folder.at("."))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(pair.stdout.take().unwrap()).lines();
    let line = lines.nth(1).unwrap().unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["./node", "join", code, "--at", at] = words[..] else {
        panic!("{line}");
    };
    fs::create_dir(folder.at("attic")).unwrap();
    let join = |code: &str| {
        let mut node = Command::new(built.join("target/node"));
        node.args(["join", code, "--at", at, "--into"]);
        node.arg(folder.at("attic")).output().unwrap()
    };
    let joined = join(&code.to_lowercase());
    assert!(joined.status.success(), "{joined:?}");
    assert!(pair.wait().unwrap().success());
    let [here, there] =
        ["keyed.toml", "attic/cluster.toml"].map(|f| fs::read(folder.at(f)).unwrap());
    assert_eq!(here, there);
    let [here, there] =
        ["cluster.secret", "attic/cluster.secret"].map(|f| fs::read(folder.at(f)).unwrap());
    assert_eq!(here, there);
    assert!(
        !folder.at("attic.key").exists(),
        "the board's key stays there"
    );
    let config = folder.at("attic/cluster.toml");
    let config = config.to_str().unwrap();
    let flags = ["--config", config, "--name", "attic"];
    // It has the key that the file says.
    drop(Probe::start(built, &flags));
    // A second time, files are in the way.
    let again = join(code);
    assert!(!again.status.success());
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("exists"),
        "{again:?}"
    );
}
