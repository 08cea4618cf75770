//! Boards: a network namespace each, with a root of its own over this machine's, a real sshd, and systemd, or a script that stands
//! in for it. All processes of a board end with it, since it is a namespace of processes, too.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for something that is expected.
const LONG: Duration = Duration::from_secs(120);

/// Mounts a root over this machine's, with the board's own files.
const ROOT: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs none "$1/layer"
mkdir "$1/layer/upper" "$1/layer/work"
mount -t overlay none -o "lowerdir=/,upperdir=$1/layer/upper,workdir=$1/layer/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount -t tmpfs none "$1/root/run"
mount -t tmpfs none "$1/root/opt"
mount -t tmpfs none "$1/root/tmp"
mkdir -p "$1/root/run/sshd" "$1/root/etc/ssh/tessera"
cp -r "$1/files/." "$1/root/"
"#;

/// Runs sshd alone.
const SSHD: &str = r#"
mount --rbind /dev "$1/root/dev"
chroot "$1/root" /usr/sbin/sshd -D -e -f /etc/ssh/tessera/sshd_config
"#;

/// Runs systemd, which starts sshd and nothing else of this machine's units. Units with mount namespaces of their own want `/` to be
/// a mount, so this is no mere `chroot`.
const SYSTEMD: &str = r#"
cd "$1/root"
mount -t sysfs none sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs none dev
mkdir dev/pts dev/shm
for d in null zero full random urandom tty; do touch "dev/$d"; mount --bind "/dev/$d" "dev/$d"; done
mount -t tmpfs none dev/shm
mount -t devpts none dev/pts
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
rm -rf etc/systemd/system/*.wants
mkdir -p etc/systemd/system/basic.target.wants
ln -s ../lab-sshd.service etc/systemd/system/basic.target.wants/lab-sshd.service
# Where this machine has udev, it would give the board's interface another hardware address, and nobody would reach the old one.
for unit in systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done
mkdir old-root
pivot_root . old-root
umount -l old-root
rmdir old-root
# As on a machine of its own: mounts of credentials reach units so.
mount --make-rshared /
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target
"#;

const SSHD_UNIT: &str = "[Service]\nExecStart=/usr/sbin/sshd -D -e -f /etc/ssh/tessera/sshd_config\nRuntimeDirectory=sshd\n";

/// Who starts nodes on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The script `systemctl.py`.
    StandIn,
    /// systemd itself.
    Systemd,
}

/// The folder of control groups of version 2.
fn control_groups() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mut fields = mounts
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>());
    fields
        .find(|f| f.get(2) == Some(&"cgroup2"))
        .map(|f| PathBuf::from(f[1]))
}

/// Two boards and the operator's machine, on one switch.
pub struct Lab {
    dir: TempDir,
    prefix: String,
    manager: Manager,
    boards: Vec<(String, Child)>,
}

fn ok(command: &mut Command) {
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {said}");
}

fn ip(args: &str) {
    ok(Command::new("ip").args(args.split_whitespace()));
}

impl Lab {
    /// Starts boards; board `k` has the address `10.77.0.(2 + k)`.
    pub fn new(names: &[&str], manager: Manager) -> Self {
        let dir = tempfile::tempdir().unwrap();
        static LABS: AtomicU32 = AtomicU32::new(0);
        let lab = LABS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("tsr{}-{lab}", std::process::id());
        let mut lab = Self {
            dir,
            prefix,
            manager,
            boards: Vec::new(),
        };
        let op = lab.namespace("op");
        ip(&format!("netns add {op}"));
        ip(&format!("-n {op} link set lo up"));
        ip(&format!("-n {op} link add br0 type bridge"));
        ip(&format!("-n {op} link set br0 up"));
        ip(&format!("-n {op} addr add 10.77.0.1/24 dev br0"));
        let key = lab.dir.path().join("id");
        let mut keygen = Command::new("ssh-keygen");
        ok(keygen
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key));
        let config = format!(
            "Host *\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  StrictHostKeyChecking no\n  UserKnownHostsFile {}\n  LogLevel ERROR\n",
            key.display(),
            lab.dir.path().join("known_hosts").display()
        );
        fs::write(lab.ssh_config(), config).unwrap();
        for (k, name) in names.iter().enumerate() {
            let ns = lab.namespace(name);
            ip(&format!("netns add {ns}"));
            ip(&format!("-n {ns} link set lo up"));
            ip(&format!(
                "-n {op} link add p{k} type veth peer name eth0 netns {ns}"
            ));
            ip(&format!("-n {op} link set p{k} master br0 up"));
            ip(&format!("-n {ns} addr add 10.77.0.{}/24 dev eth0", 2 + k));
            ip(&format!("-n {ns} link set eth0 up"));
            lab.start(name);
        }
        lab
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// The control group of a board.
    fn group(&self, name: &str) -> Option<PathBuf> {
        Some(control_groups()?.join(self.namespace(name)))
    }

    pub fn ssh_config(&self) -> PathBuf {
        self.dir.path().join("ssh_config")
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a board, with an empty layer over this machine's root.
    fn start(&mut self, name: &str) {
        let folder = self.dir.path().join(name);
        for part in [
            "layer",
            "root",
            "files/etc/ssh/tessera",
            "files/usr/bin",
            "files/etc/systemd/system",
            "files/srv",
        ] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let files = folder.join("files");
        let key = files.join("etc/ssh/tessera/host_key");
        if !key.exists() {
            let mut keygen = Command::new("ssh-keygen");
            ok(keygen
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(&key));
        }
        fs::copy(
            self.dir.path().join("id.pub"),
            files.join("etc/ssh/tessera/authorized_keys"),
        )
        .unwrap();
        let config = "Port 22\nHostKey /etc/ssh/tessera/host_key\nAuthorizedKeysFile /etc/ssh/tessera/authorized_keys\nPermitRootLogin prohibit-password\n\
            PasswordAuthentication no\nStrictModes no\nUsePAM no\nPidFile none\nPrintMotd no\nSubsystem sftp internal-sftp\n";
        fs::write(files.join("etc/ssh/tessera/sshd_config"), config).unwrap();
        let unit = files.join("etc/systemd/system/lab-sshd.service");
        fs::write(unit, SSHD_UNIT).unwrap();
        let scripts = [
            ("systemctl", include_str!("systemctl.py")),
            ("journalctl", include_str!("journalctl.sh")),
        ];
        for (name, text) in scripts.iter().filter(|_| self.manager == Manager::StandIn) {
            let path = files.join("usr/bin").join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let log = fs::File::create(folder.join("board.log")).unwrap();
        let ns = self.namespace(name);
        // A group of its own, which is the root of what systemd sees.
        let (enter, unshare, run) = match self.manager {
            Manager::StandIn => (String::new(), "", SSHD),
            Manager::Systemd => {
                let group = self.group(name).unwrap();
                fs::create_dir(&group).unwrap();
                let enter = format!("echo $$ >'{}/cgroup.procs'; ", group.display());
                (enter, "-C -u -i", SYSTEMD)
            }
        };
        let script = format!(
            "{enter}exec ip netns exec {ns} unshare -m -p {unshare} --fork --kill-child sh -c \"$2\" sh \"$1\""
        );
        let child = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(&folder)
            .arg(ROOT.to_owned() + run)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.boards.push((name.into(), child));
        wait(|| self.on(name, "true").status.success().then_some(()));
    }

    /// Runs a command of the shell on a board, by ssh.
    pub fn on(&self, name: &str, command: &str) -> Output {
        let k = self.boards.iter().position(|(n, _)| n == name).unwrap();
        Command::new("ip")
            .args(["netns", "exec", &self.namespace("op"), "ssh", "-F"])
            .arg(self.ssh_config())
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"])
            .args([&format!("10.77.0.{}", 2 + k), command])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The output of a command on a board.
    pub fn says(&self, name: &str, command: &str) -> String {
        let out = self.on(name, command);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{name}: {command}: {said}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Gives a board a file.
    pub fn give(&self, name: &str, from: &Path, to: &str) {
        let mut scp = Command::new("ip");
        scp.args(["netns", "exec", &self.namespace("op"), "scp", "-q", "-F"])
            .arg(self.ssh_config())
            .arg(from);
        let k = self.boards.iter().position(|(n, _)| n == name).unwrap();
        ok(scp.arg(format!("10.77.0.{}:{to}", 2 + k)));
    }

    /// Cuts a board's wire, or mends it.
    pub fn wire(&self, name: &str, on: bool) {
        let ns = self.namespace(name);
        let how = if on { "up" } else { "down" };
        ip(&format!("-n {ns} link set eth0 {how}"));
    }

    /// Runs `cargo xtask` on the operator's machine, beside `cluster.toml`.
    pub fn xtask(&self, words: &[&str]) -> Ran {
        let out = Command::new("ip")
            .args([
                "netns",
                "exec",
                &self.namespace("op"),
                env!("CARGO_BIN_EXE_xtask"),
            ])
            .args(words)
            .env("CARGO_NET_OFFLINE", "true")
            .env("RUST_BACKTRACE", "0")
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran {
            code: out.status.code(),
            out: String::from_utf8(out.stdout).unwrap(),
            err: String::from_utf8(out.stderr).unwrap(),
        }
    }

    /// Everything on a board that its root does not have from this machine, but for what the stand-ins keep.
    pub fn files(&self, name: &str) -> BTreeSet<String> {
        let (_, child) = self.boards.iter().find(|(n, _)| n == name).unwrap();
        // `unshare` itself is in the board's namespace of mounts, and under this machine's root.
        let seen = format!("/proc/{}/root{}", child.id(), self.at(name).display());
        let mut all = BTreeSet::new();
        for (below, shown) in [
            ("layer/upper", ""),
            ("root/opt", "/opt"),
            ("root/run", "/run"),
        ] {
            let out = Command::new("find")
                .arg(format!("{seen}/{below}"))
                .args(["-printf", "%P\n"])
                .output();
            let out = out.unwrap();
            assert!(
                out.status.success(),
                "{}",
                String::from_utf8_lossy(&out.stderr)
            );
            let list = String::from_utf8(out.stdout).unwrap();
            all.extend(list.lines().map(|l| format!("{shown}/{l}")));
        }
        // A folder of this machine's is in the board's layer as soon as something below it has changed.
        let is_below = |f: &String| Path::new(f).is_dir();
        let is_kept = |f: &String| {
            ["/run/stand-in", "/run/credentials", "/var/log"]
                .iter()
                .any(|t| f.starts_with(t))
        };
        all.retain(|f| !is_kept(f) && !is_below(f));
        all
    }
}

/// How a command ended.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Checks the exit code, and what was said on either stream.
    #[track_caller]
    pub fn ends(self, code: i32, words: &[&str]) -> Self {
        let all = format!("{}\n{}", self.out, self.err);
        assert_eq!(self.code, Some(code), "{all}");
        for w in words {
            assert!(all.contains(w), "{w:?} is missing in:\n{all}");
        }
        assert!(!all.contains("panicked"), "{all}");
        self
    }

    /// Standard output, read.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

/// Waits for something.
#[track_caller]
pub fn wait<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it does not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (_, child) in &mut self.boards {
            // With --kill-child, all processes of the board end with it.
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in self.boards.iter().map(|(n, _)| n.as_str()).chain(["op"]) {
            let _ = Command::new("ip")
                .args(["netns", "del", &self.namespace(name)])
                .output();
            if let Some(group) = self.group(name).filter(|g| g.exists()) {
                remove_group(&group);
            }
        }
    }
}

/// Removes a control group and those below it, once their processes are gone.
fn remove_group(group: &Path) {
    for _ in 0..50 {
        let find = Command::new("find")
            .arg(group)
            .args(["-depth", "-type", "d"])
            .output();
        let all = find
            .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
            .unwrap_or_default();
        for below in all.lines() {
            let _ = fs::remove_dir(below);
        }
        if !group.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
