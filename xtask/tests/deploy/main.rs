//! `deploy`, `rollback` and `undeploy` on boards with real sshd: namespaces with roots of their own. A script stands in for
//! systemd, which starts nodes as their units say and hears what they tell it.

mod boards;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use boards::{Lab, Manager, wait};
use serde_json::Value;
use tessera_needs::needs;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/demo/demo.cfg");
const BOARDS: [&str; 3] = ["hub", "porch", "shed"];

/// Boards with a cluster file and keys beside it. The source reads a picture over and over.
fn lab(manager: Manager) -> Lab {
    let lab = Lab::new(&BOARDS, manager);
    let hub = ["--gateway", "hub=10.77.0.2"];
    let others = ["--source", "porch=10.77.0.3", "--edge", "shed=10.77.0.4"];
    let words = [
        &["cluster", "init", "--target", "portable"][..],
        &hub,
        &others,
    ]
    .concat();
    lab.xtask(&words).ends(0, &["wrote cluster.toml"]);
    let file = lab.at("cluster.toml");
    let text = fs::read_to_string(&file).unwrap();
    let source = "\n[[source]]\nname = \"street\"\nfrom = \"/srv/list.txt\"\nfps = 20\n";
    fs::write(&file, text + source).unwrap();
    fs::write(lab.at("list.txt"), "/srv/demo.png\n".repeat(5_000)).unwrap();
    lab.give("porch", &lab.at("list.txt"), "/srv/list.txt");
    let picture = Path::new(MODEL).with_file_name("demo.png");
    lab.give("porch", &picture, "/srv/demo.png");
    lab
}

fn deploy(lab: &Lab, grid: &str, more: &[&str]) -> boards::Ran {
    let config = lab.ssh_config();
    let config = config.to_str().unwrap();
    let words = [
        "deploy",
        "--model",
        MODEL,
        "--offload",
        "8",
        "--grid",
        grid,
        "--ssh-config",
        config,
    ];
    lab.xtask(&[&words[..], more].concat())
}

fn over(lab: &Lab, verb: &str, more: &[&str]) -> boards::Ran {
    let config = lab.ssh_config();
    lab.xtask(&[&[verb, "--ssh-config", config.to_str().unwrap()], more].concat())
}

fn board<'a>(told: &'a Value, name: &str) -> &'a Value {
    let boards = told["boards"].as_array().unwrap();
    boards.iter().find(|b| b["board"] == name).unwrap()
}

/// Checks that a board has these files again and no others.
#[track_caller]
fn unchanged(lab: &Lab, name: &str, files: &BTreeSet<String>) {
    let now = lab.files(name);
    let other: Vec<_> = now.symmetric_difference(files).collect();
    assert!(other.is_empty(), "{name}: {other:?}");
}

fn current(lab: &Lab, name: &str) -> String {
    lab.says(name, "readlink /opt/tessera/current")
}

/// The frames of every process that was a source, by their numbers, in the order of records.
fn frames(lab: &Lab) -> BTreeMap<u64, Vec<u64>> {
    let text = lab.says("hub", "cat /var/lib/tessera/records.jsonl");
    let mut all: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert!(
            record["detections"].is_array(),
            "a frame without detections: {record}"
        );
        let epoch = record["epoch"].as_u64().unwrap();
        all.entry(epoch)
            .or_default()
            .push(record["frame"].as_u64().unwrap());
    }
    all
}

/// Checks that so many processes were the source, and that each frame that they took has one record.
#[track_caller]
fn every_frame_once(lab: &Lab, processes: usize) {
    let all = frames(lab);
    assert_eq!(
        all.len(),
        processes,
        "a source process for each version that ran"
    );
    for (epoch, mut numbers) in all {
        numbers.sort_unstable();
        let whole: Vec<u64> = (0..).take(numbers.len()).collect();
        assert_eq!(numbers, whole, "every frame of {epoch:x} once");
    }
}

/// Checks that a process of the source that has ended took as many frames as there are records of it.
fn took_what_was_recorded(lab: &Lab, epoch: u64) {
    let text = lab.says("porch", "cat /var/lib/tessera/stats.json");
    let stats: Value = serde_json::from_str(&text).unwrap();
    let records = frames(lab)[&epoch].len() as u64;
    assert_eq!(stats["frames"]["accepted"], records, "{}", stats["frames"]);
}

fn count(lab: &Lab) -> usize {
    frames(lab).values().map(Vec::len).sum()
}

/// A trace of the running boards: all of them are in it, frames end in it, and Perfetto's rules hold. Nothing is left behind.
#[track_caller]
fn traced(lab: &Lab) {
    let files = BOARDS.map(|b| lab.files(b));
    for _ in 0..2 {
        over(
            lab,
            "trace",
            &[
                "--cluster",
                "cluster.toml",
                "--frames",
                "3",
                "--out",
                "trace.json",
            ],
        )
        .ends(0, &["of 3 boards ended meanwhile", "trace.json"]);
        let text = fs::read_to_string(lab.at("trace.json")).unwrap();
        let whole: Value = serde_json::from_str(&text).unwrap();
        let events: Vec<tessera_trace::Event> =
            serde_json::from_value(whole["traceEvents"].clone()).unwrap();
        assert_eq!(tessera_trace::check(&events), []);
        let processes: BTreeSet<u32> = events.iter().map(|e| e.pid).collect();
        let boards = [0, 1, 2].map(tessera_trace::tracks::process);
        assert_eq!(processes, BTreeSet::from(boards));
        let ended = |e: &&tessera_trace::Event| e.ph == tessera_trace::Phase::End;
        assert!(events.iter().filter(ended).count() >= 3);
    }
    for (name, files) in BOARDS.iter().zip(&files) {
        unchanged(lab, name, files);
    }
}

/// Waits for so many more records.
fn more_records(lab: &Lab, more: usize) {
    let before = count(lab);
    wait(|| (count(lab) >= before + more).then_some(()));
}

#[needs(sshd)]
#[test]
fn a_cluster_is_deployed_changed_taken_back_and_removed() {
    let lab = lab(Manager::StandIn);
    let bare: Vec<_> = BOARDS.map(|b| lab.files(b)).into();

    // A dry run changes nothing.
    let told = deploy(&lab, "3x3", &["--dry-run", "--json"])
        .ends(0, &[])
        .json();
    assert_eq!(told["dry_run"], true);
    assert!(board(&told, "porch")["sent_bytes"].as_u64().unwrap() > 100_000);
    assert_eq!(
        board(&told, "porch")["probe"]["machine"],
        std::env::consts::ARCH
    );
    deploy(&lab, "3x3", &["--dry-run"])
        .ends(0, &["A dry run", "send node to porch", "start version"]);
    for (name, files) in BOARDS.iter().zip(&bare) {
        unchanged(&lab, name, files);
    }

    // The source notes what it took, by a flag of its board alone.
    lab.says(
        "porch",
        "echo 'TESSERA_FLAGS=\"--stats /var/lib/tessera/stats.json\"' >/etc/default/tessera",
    );

    // The first version: all join, and frames get records.
    deploy(&lab, "3x3", &[]).ends(
        0,
        &[
            "hub",
            "gateway",
            "edge 1",
            "street",
            "edges take part: 1 2",
            "joined the gateway at 10.77.0.2:7400",
        ],
    );
    let first = current(&lab, "hub");
    for name in BOARDS {
        assert_eq!(current(&lab, name), first);
        assert_eq!(
            lab.says(name, "ls /run/stand-in/enabled"),
            "/run/stand-in/enabled"
        );
        let modes = "cd /opt/tessera/current && stat -c '%a %U' secret secret/node.key secret/cluster.toml node";
        assert_eq!(
            lab.says(name, modes),
            "700 root\n600 root\n600 root\n755 root"
        );
        let pid = lab.says(name, "systemctl show -p MainPID --value tessera.service");
        assert_eq!(
            lab.says(name, &format!("stat -c %u /proc/{pid}")),
            "61184",
            "not root"
        );
    }
    wait(|| {
        lab.on("hub", "test -s /var/lib/tessera/records.jsonl")
            .status
            .success()
            .then_some(())
    });
    more_records(&lab, 3);

    traced(&lab);

    // The same again: nothing is sent, nobody is started anew.
    let pids = BOARDS.map(|b| lab.says(b, "systemctl show -p MainPID --value tessera.service"));
    let told = deploy(&lab, "3x3", &["--json"])
        .ends(0, &["runs this version already"])
        .json();
    for (name, pid) in BOARDS.iter().zip(&pids) {
        assert_eq!(board(&told, name)["sent_bytes"], 0);
        assert_eq!(board(&told, name)["takes_part"], true);
        assert_eq!(
            lab.says(name, "systemctl show -p MainPID --value tessera.service"),
            *pid
        );
    }

    // Another plan on one board alone would be turned away by the others.
    deploy(&lab, "2x2", &["shed"]).ends(1, &["a plan runs on all boards"]);

    // Another plan while frames come: each has one record.
    let told_first = *frames(&lab).keys().next().unwrap();
    let told = deploy(&lab, "2x2", &["--json"])
        .ends(0, &["porch: drained"])
        .json();
    let kept: Vec<&str> = board(&told, "shed")["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["way"] == "kept")
        .filter_map(|f| f["name"].as_str())
        .collect();
    assert!(
        kept.contains(&"secret/cluster.toml") && kept.contains(&"secret/node.key"),
        "{kept:?}"
    );
    let second = current(&lab, "hub");
    assert_ne!(first, second);
    took_what_was_recorded(&lab, told_first);
    more_records(&lab, 3);

    // Back to the first one, and again no frame is lost.
    over(&lab, "rollback", &["--dry-run"]).ends(0, &["A dry run", &first["versions/".len()..]]);
    over(&lab, "rollback", &[]).ends(0, &["joined the gateway"]);
    assert_eq!(BOARDS.map(|b| current(&lab, b)), [first.as_str(); 3]);
    assert_eq!(lab.says("porch", "readlink /opt/tessera/previous"), second);
    more_records(&lab, 3);
    every_frame_once(&lab, 3);

    // A node whose loop stands is started again by its watchdog.
    lab.says(
        "shed",
        "kill -STOP $(systemctl show -p MainPID --value tessera.service)",
    );
    wait(|| {
        (lab.says(
            "shed",
            "systemctl show -p NRestarts --value tessera.service",
        ) == "1")
            .then_some(())
    });
    wait(|| {
        lab.says(
            "shed",
            "systemctl show -p StatusText --value tessera.service",
        )
        .starts_with("joined")
        .then_some(())
    });
    assert!(
        lab.says("shed", "cat /run/stand-in/tessera.service.log")
            .contains("watchdog")
    );

    // Everything goes.
    over(&lab, "undeploy", &["--dry-run"]).ends(0, &["hub: would remove"]);
    assert_eq!(current(&lab, "hub"), first);
    over(&lab, "undeploy", &[]).ends(0, &["porch: removed", "/opt/tessera"]);
    for (name, files) in BOARDS.iter().zip(&bare) {
        unchanged(&lab, name, files);
    }
    over(&lab, "undeploy", &[]).ends(0, &["hub: nothing was there"]);
}

#[needs(sshd)]
#[test]
fn what_fails_on_one_board_is_named_and_repeating_goes_on() {
    let lab = lab(Manager::StandIn);

    // A board that cannot be reached: nobody is touched.
    lab.wire("shed", false);
    deploy(&lab, "3x3", &[]).ends(
        1,
        &[
            "shed: ",
            "is it switched on",
            "nothing was changed on any board",
        ],
    );
    lab.wire("shed", true);
    assert!(!lab.on("hub", "test -e /opt/tessera").status.success());

    // Another processor than the file says.
    let file = lab.at("cluster.toml");
    let text = fs::read_to_string(&file).unwrap();
    let at = text.rfind("target = \"portable\"").unwrap();
    let wrong = text[..at].to_owned() + &text[at..].replacen("portable", "armv7", 1);
    fs::write(&file, wrong).unwrap();
    deploy(&lab, "3x3", &[]).ends(1, &["shed: its target is armv7", "write target = "]);
    fs::write(&file, text).unwrap();

    // A unit of somebody else's.
    lab.says(
        "porch",
        "echo '[Unit]' >/etc/systemd/system/tessera.service",
    );
    deploy(&lab, "3x3", &[]).ends(
        1,
        &["porch has a /etc/systemd/system/tessera.service that no deploy wrote"],
    );
    lab.says("porch", "rm /etc/systemd/system/tessera.service");

    // No room on one board: the version is on the others, and runs nowhere.
    lab.says(
        "porch",
        "mkdir -p /opt/tessera && mount -t tmpfs -o size=64k none /opt/tessera",
    );
    deploy(&lab, "3x3", &[]).ends(1, &["porch: ", "No space left", "what runs there runs on"]);
    assert!(lab.says("hub", "ls /opt/tessera/versions").len() == 12);
    assert!(
        !lab.on("hub", "test -e /opt/tessera/current")
            .status
            .success()
    );
    lab.says("porch", "umount /opt/tessera");

    // A node that does not start: the others run the version.
    lab.says(
        "shed",
        "echo TESSERA_FLAGS=--nonsense >/etc/default/tessera",
    );
    deploy(&lab, "3x3", &[]).ends(
        1,
        &[
            "hub: has version",
            "shed: Job for tessera.service failed",
            "--nonsense",
            "the others run version",
            "no start on shed",
        ],
    );
    lab.says("shed", "rm /etc/default/tessera");
    let told = deploy(&lab, "3x3", &["--json"]).ends(0, &[]).json();
    for name in BOARDS {
        assert_eq!(board(&told, name)["takes_part"], true, "{told}");
        assert_eq!(board(&told, name)["sent_bytes"], 0);
    }

    // Nothing to go back to.
    over(&lab, "rollback", &[]).ends(1, &["hub has no version before"]);
    // A gateway that does not start: the edges stay as they are, and the way back sets the drained source going again.
    let first = current(&lab, "porch");
    lab.says("hub", "echo TESSERA_FLAGS=--nonsense >/etc/default/tessera");
    deploy(&lab, "2x2", &[]).ends(
        1,
        &[
            "no start on hub",
            "the edges were not switched",
            "porch, shed",
        ],
    );
    assert_eq!(current(&lab, "porch"), first);
    let says = "systemctl show -p StatusText --value tessera.service";
    assert!(lab.says("porch", says).starts_with("drained"));
    lab.says("hub", "rm /etc/default/tessera");
    over(&lab, "rollback", &[]).ends(0, &["porch: joined"]);
    more_records(&lab, 3);

    // A board that cannot be reached is named; the others are done.
    lab.wire("shed", false);
    over(&lab, "undeploy", &[]).ends(1, &["hub: removed", "shed: ", "the others are done"]);
    lab.wire("shed", true);
    over(&lab, "undeploy", &["shed"]).ends(0, &["shed: removed"]);
}

#[needs(sshd, systemd)]
#[test]
fn systemd_itself_starts_watches_and_ends_nodes() {
    let lab = lab(Manager::Systemd);
    // The gateway's board computes tiles, too.
    let file = lab.at("cluster.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("[\"gateway\"]", "[\"gateway\", \"edge\"]"),
    )
    .unwrap();
    lab.xtask(&["cluster", "init"]).ends(0, &["1 new"]);
    let show = |name: &str, property: &str| {
        lab.says(
            name,
            &format!("systemctl show -p {property} --value tessera.service"),
        )
    };
    deploy(&lab, "3x3", &[]).ends(
        0,
        &[
            "edges take part: 1 2 3",
            "joined the gateway at 10.77.0.2:7400",
        ],
    );
    let first = current(&lab, "hub");
    more_records(&lab, 3);
    for name in BOARDS {
        assert_eq!(show(name, "ActiveState"), "active");
        assert_eq!(show(name, "UnitFileState"), "enabled");
        let status = format!("cat /proc/{}/status", show(name, "MainPID"));
        let status = lab.says(name, &status);
        let line = |begin: &str| {
            status
                .lines()
                .find(|l| l.starts_with(begin))
                .unwrap()
                .to_owned()
        };
        let uid: u32 = line("Uid:")
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!((61_184..=65_519).contains(&uid), "a user of its own: {uid}");
        assert_eq!(
            line("CapBnd:").split_whitespace().nth(1),
            Some("0000000000000000")
        );
        assert_eq!(line("NoNewPrivs:").split_whitespace().nth(1), Some("1"));
        assert_eq!(
            line("Seccomp:").split_whitespace().nth(1),
            Some("2"),
            "system calls are filtered"
        );
    }
    // The other plan takes over under a stream of frames.
    deploy(&lab, "2x2", &[]).ends(0, &["porch: drained"]);
    assert_ne!(current(&lab, "hub"), first);
    more_records(&lab, 3);
    every_frame_once(&lab, 2);
    // The watchdog.
    lab.says(
        "shed",
        "kill -STOP $(systemctl show -p MainPID --value tessera.service)",
    );
    wait(|| (show("shed", "NRestarts") == "1").then_some(()));
    wait(|| {
        show("shed", "StatusText")
            .starts_with("joined")
            .then_some(())
    });
    // A gateway that is killed comes back, and frames go on.
    lab.says(
        "hub",
        "kill -KILL $(systemctl show -p MainPID --value tessera.service)",
    );
    wait(|| show("hub", "StatusText").contains("1 2 3").then_some(()));
    more_records(&lab, 3);
    over(&lab, "undeploy", &[]).ends(0, &["porch: removed", "/var/lib/tessera"]);
    for name in BOARDS {
        assert_eq!(show(name, "LoadState"), "not-found");
        let left = lab.says(name, "ls -d /opt/* /etc/systemd/system/*tessera* /var/lib/*tessera* /var/lib/private/* /run/*tessera* 2>/dev/null || true");
        assert_eq!(left, "", "{name}");
    }
}
