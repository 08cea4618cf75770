//! `node doctor` on a board.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use tessera_needs::needs;
use tessera_tests::rig::{Group, Process, SHORT, wait_for};

use crate::{
    common::{Said, doctor, node},
    net::Net,
    probes::Described,
};

/// Boards that are all on this machine, so that its interfaces do not matter.
const LOOPBACK: [&str; 3] = ["127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403"];

/// The doctor of the node with these flags.
fn alone(flags: &[&str]) -> Command {
    let mut command = node().command("doctor");
    command.arg("--json").args(flags);
    command
}

fn said(command: Command) -> Said {
    let dir = tempfile::tempdir().unwrap();
    Said::by(command, dir.path())
}

/// A board's files: a Raspberry Pi that is well.
fn pi() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [
        (
            "proc/device-tree/model",
            "Raspberry Pi 3 Model B Plus Rev 1.3\0",
        ),
        (
            "proc/meminfo",
            "MemTotal: 940000 kB\nMemAvailable: 700000 kB\n",
        ),
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "48000\n"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
        (
            "sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
            "ondemand\n",
        ),
        (
            "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq",
            "1400000\n",
        ),
        (
            "sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq",
            "1400000\n",
        ),
    ] {
        write(&dir, file, text);
    }
    dir
}

fn write(dir: &TempDir, file: &str, text: &str) {
    let path = dir.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[needs(x86_64v3)]
#[test]
fn a_pi_that_is_well_weak_and_hot() {
    let pi = pi();
    let root = pi.path().to_str().unwrap();
    // The same of a node and of the command.
    let both = |rows: &[&str]| {
        let by_node = said(alone(&["--root", root]));
        by_node.found(rows);
        let by_xtask = said(doctor(&["--root", root]));
        by_xtask.found(rows);
        by_node
    };
    let well = both(&[]);
    assert_eq!(well.value["health"]["temperature_c"], 48.0);
    assert_eq!(well.value["health"]["throttled"], false);
    write(
        &pi,
        "sys/devices/platform/soc/soc:firmware/get_throttled",
        "50005\n",
    );
    write(&pi, "sys/class/thermal/thermal_zone0/temp", "83500\n");
    write(
        &pi,
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
        "powersave\n",
    );
    let bad = both(&["hot", "slow-clock", "throttled", "under-voltage"]);
    assert_eq!(bad.value["health"]["throttled"], true);
    // For people: a line each, and what to read.
    let mut command = node().command("doctor");
    let out = command.args(["--root", root]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(
        text.starts_with("fault: the supply's voltage is too low"),
        "{text}"
    );
    assert!(text.contains("[get_throttled = 0x50005]"), "{text}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("4 fault(s) found"));
}

#[needs(x86_64v3, network_namespaces)]
#[test]
fn packets_buffers_and_drops() {
    let net = Net::new(1);
    let here = || said(net.on("1", &alone(&[])));
    // An interface counts where it leads anywhere.
    here().found(&[]);
    net.ip("1", "link set eth0 mtu 1280");
    let small = here();
    small.found(&["mtu"]);
    assert_eq!(
        small.finding("mtu")["seen"],
        "/sys/class/net/eth0/mtu = 1280"
    );
    net.ip("1", "link set eth0 mtu 1500");

    // A node that stands still while others speak to it.
    let dir = tempfile::tempdir().unwrap();
    let mut probe = node().command("probe");
    probe.args(["--listen", "127.0.0.1:7455"]);
    let probe = Process::start(net.on("1", &probe), "probe", dir.path()).unwrap();
    probe.event("listening", SHORT).unwrap();
    here().found(&[]);
    probe.pause(true).unwrap();
    let mut flood = Command::new("bash");
    flood.args([
        "-c",
        "exec 3>/dev/udp/127.0.0.1/7455; while :; do echo word >&3; done",
    ]);
    let flood = Group::start(net.on("1", &flood), "flood", dir.path()).unwrap();
    let drops = || {
        let mut cat = Command::new("cat");
        cat.arg("/proc/net/udp");
        let out = net.on("1", &cat).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let line = text.lines().find(|l| l.contains(":1D1F 00000000:0000"));
        line.and_then(|l| l.split_whitespace().last()?.parse::<u64>().ok())
    };
    wait_for(SHORT, || Ok(drops().filter(|n| *n > 100))).unwrap();
    let lost = here();
    lost.found(&["socket-drops"]);
    let seen = lost.finding("socket-drops");
    assert!(
        seen["what"]
            .as_str()
            .unwrap()
            .contains("the probe of this board"),
        "{seen}"
    );
    assert!(
        seen["seen"].as_str().unwrap().contains("port 7455"),
        "{seen}"
    );
    flood.kill().unwrap();
    probe.pause(false).unwrap();
}

/// A control group of version 1 for memory.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(limit: u64) -> Self {
        let name = format!("tessera-doctor-{}", std::process::id());
        let path = Path::new("/sys/fs/cgroup/memory").join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("memory.limit_in_bytes"), limit.to_string()).unwrap();
        Self(path)
    }

    /// A command in the group.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("sh");
        inside.args(["-c", "echo $$ > \"$0\"; exec \"$@\""]);
        inside.arg(self.0.join("cgroup.procs"));
        inside.arg(command.get_program()).args(command.get_args());
        inside
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let gone = || Ok(fs::remove_dir(&self.0).is_ok().then_some(()));
        let _ = wait_for(Duration::from_secs(5), gone);
    }
}

#[needs(x86_64v3, memory_group)]
#[test]
fn a_group_with_little_memory() {
    let group = MemoryGroup::new(200 << 20);
    let described = Described::new(LOOPBACK, true);
    let file = described.file();
    let flags = ["--config", file.to_str().unwrap(), "--name", "b"];
    said(group.inside(&alone(&flags))).found(&[]);
    let dir = tempfile::tempdir().unwrap();
    // Memory that is nobody's file, as long as it is open.
    let fill = |mib: u32, name: &str| {
        let mut sh = Command::new("sh");
        let words = format!(
            "exec 3> /dev/shm/tessera-$$; rm /dev/shm/tessera-$$; dd if=/dev/zero bs=1M count={mib} >&3 && echo full >&2 && exec sleep 600"
        );
        sh.args(["-c", &words]);
        Group::start(group.inside(&sh), name, dir.path()).unwrap()
    };
    let full = fill(193, "full");
    wait_for(SHORT, || Ok(full.errors().contains("full").then_some(()))).unwrap();
    let tight = said(group.inside(&alone(&flags)));
    tight.found(&["memory-limit"]);
    full.kill().unwrap();
    // More than there is: the system ends somebody.
    let much = fill(400, "much");
    let _ = much.wait(SHORT).unwrap();
    said(group.inside(&alone(&flags))).found(&["killed-for-memory"]);
}

#[needs(x86_64v3, ffmpeg)]
#[test]
fn cameras() {
    let described = Described::new(LOOPBACK, true);
    let file = described.file();
    let of = |flags: &[&str]| {
        let board = ["--config", file.to_str().unwrap(), "--name", "a"];
        said(alone(&[&board, flags].concat()))
    };
    of(&["--source", "test:", "--timeout", "60"]).found(&[]);
    let none = of(&["--source", "yard=rtsp://me:secret@127.0.0.1:9/live"]);
    none.found(&["camera"]);
    let found = none.finding("camera");
    assert!(
        found["what"].as_str().unwrap().contains("source yard"),
        "{found}"
    );
    assert!(
        found["advice"]
            .as_str()
            .unwrap()
            .starts_with("nothing listens there"),
        "{found}"
    );
    assert!(!found.to_string().contains("secret"), "{found}");
    of(&["--source", "v4l2:/dev/video99"]).found(&["camera"]);
}

#[needs(x86_64v3)]
#[test]
fn keys_of_another_board() {
    let described = Described::new(LOOPBACK, true);
    let file = described.file();
    let of = |name: &str| said(alone(&["--config", file.to_str().unwrap(), "--name", name]));
    of("a").found(&[]);
    fs::copy(described.path("b.key"), described.path("a.key")).unwrap();
    let wrong = of("a");
    // The other boards are unknown then, so this machine's own network is looked at, too.
    assert!(
        wrong.rows().contains(&"keys".to_owned()) && wrong.code == 1,
        "{wrong:?}"
    );
    assert!(
        wrong.finding("keys")["seen"]
            .as_str()
            .unwrap()
            .contains("not the key of a")
    );
    fs::set_permissions(described.path("b.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(of("b").rows().contains(&"keys".to_owned()));
}
