"""Boards with a bare Debian: each a namespace of its own for processes, network, mounts and control groups, with its own root and Debian's own systemd and sshd. They share a switch with this
machine, which is also their way to the Internet, as a home's router is."""
import os, shutil, subprocess, time

SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
# What Raspberry Pi OS has beside Debian's own base.
PACKAGES = "openssh-server,sudo,systemd-sysv,dbus,ca-certificates,iproute2"
SWITCH, NET = "tsrbare", "192.168.1"

# Units that would set up hardware, which is this machine's.
MASKED = ["systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-udev-trigger.service", "getty.target", "console-getty.service"]

# Puts a layer over the base, and starts systemd in it; it sees its own processes, control groups and devices alone.
START = r"""
set -e
mount --make-rprivate /
mount -t overlay none -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mount -t proc proc proc
mount -t sysfs -o ro none sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs none run
mount -t tmpfs none tmp
mount -t tmpfs none dev
mkdir dev/pts dev/shm
for d in null zero full random urandom tty; do touch "dev/$d"; mount --bind "/dev/$d" "dev/$d"; done
mount -t tmpfs none dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 none dev/pts
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mkdir old-root
pivot_root . old-root
umount -l old-root
rmdir old-root
mount --make-rshared /
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
"""


def run(*words, **more):
    return subprocess.run([str(w) for w in words], check=True, **more)


def base(folder):
    """A bare Debian, made once and kept."""
    if os.path.exists(folder + "/made"):
        return folder + "/root"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    run("debootstrap", f"--include={PACKAGES}", SUITE, folder + "/root", MIRROR, stdout=subprocess.DEVNULL)
    open(folder + "/made", "w").close()
    return folder + "/root"


def groups():
    """The folder of control groups of version 2."""
    with open("/proc/mounts") as mounts:
        return next(line.split()[1] for line in mounts if line.split()[2] == "cgroup2")


class Boards:
    """`names` with the last parts of their addresses; `key` may log in as the user `pi`, who may become root."""

    def __init__(self, names, own, key, debian, work):
        self.names, self.own, self.key, self.work, self.debian, self.running = names, own, key, work, debian, []
        used = subprocess.run(["ip", "-o", "-4", "addr"], check=True, capture_output=True, text=True).stdout
        if f" {NET}." in used:
            raise SystemExit(f"this machine has an address in {NET}.0/24, which the README's boards use")
        with open("/proc/sys/net/ipv4/ip_forward") as f:
            self.forwards = f.read()
        self.rule = ["-s", f"{NET}.0/24", "!", "-d", f"{NET}.0/24", "-j", "MASQUERADE"]
        self.hosts = "127.0.0.1 localhost\n" + "".join(f"{NET}.{last} {name}.local\n" for name, last in names.items())

    def namespace(self, name):
        return f"{SWITCH}-{name}"

    def group(self, name):
        return os.path.join(groups(), self.namespace(name))

    @staticmethod
    def write(path, text, mode=None):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        if mode is not None:
            os.chmod(path, mode)

    def start(self):
        run("ip", "link", "add", SWITCH, "type", "bridge")
        run("ip", "link", "set", SWITCH, "up")
        for last in self.own:
            run("ip", "addr", "add", f"{NET}.{last}/24", "dev", SWITCH)
        self.write("/proc/sys/net/ipv4/ip_forward", "1")
        run("iptables", "-t", "nat", "-A", "POSTROUTING", *self.rule)
        for k, (name, last) in enumerate(self.names.items()):
            self.prepare(name)
            ns = self.namespace(name)
            run("ip", "netns", "add", ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")
            run("ip", "link", "add", f"{SWITCH}{k}", "type", "veth", "peer", "name", "eth0", "netns", ns)
            run("ip", "link", "set", f"{SWITCH}{k}", "master", SWITCH, "up")
            run("ip", "-n", ns, "addr", "add", f"{NET}.{last}/24", "dev", "eth0")
            run("ip", "-n", ns, "link", "set", "eth0", "up")
            # This machine's way out may take smaller packets than the switch.
            run("ip", "-n", ns, "route", "add", "default", "via", f"{NET}.1", "advmss", "1300")
            os.mkdir(self.group(name))
            script = f"echo $$ >'{self.group(name)}/cgroup.procs'; exec ip netns exec {ns} unshare -m -p -C -u -i --fork --kill-child sh -c \"$3\" sh \"$1\" \"$2\""
            with open(f"{self.work}/{name}/board.log", "wb") as log:
                self.running.append(subprocess.Popen(["sh", "-c", script, "sh", self.debian, f"{self.work}/{name}", START], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        for last in self.names.values():
            self.answers(f"{NET}.{last}")

    def prepare(self, name):
        """What the imager writes on a card: a name, a user, its key."""
        folder = f"{self.work}/{name}"
        for part in ("upper", "work", "root"):
            os.makedirs(f"{folder}/{part}")
        mounted = ["mount", "-t", "overlay", "none", "-o", f"lowerdir={self.debian},upperdir={folder}/upper,workdir={folder}/work", f"{folder}/root"]
        script = "useradd -m -s /bin/bash pi; rm -f /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null"
        run("unshare", "-m", "sh", "-ec", '"$@"; chroot "$ROOT" sh -ec "$SCRIPT"', "sh", *mounted, env={**os.environ, "ROOT": f"{folder}/root", "SCRIPT": script})
        upper = f"{folder}/upper"
        self.write(f"{upper}/home/pi/.ssh/authorized_keys", self.key)
        with open(f"{upper}/etc/passwd") as users:
            user = next(line.split(":")[2:4] for line in users if line.startswith("pi:"))
        for path in (f"{upper}/home/pi/.ssh", f"{upper}/home/pi/.ssh/authorized_keys"):
            os.chown(path, *map(int, user))
        self.write(f"{upper}/etc/sudoers.d/010_pi-nopasswd", "pi ALL=(ALL) NOPASSWD: ALL\n", 0o440)
        self.write(f"{upper}/etc/hostname", name + "\n")
        self.write(f"{upper}/etc/hosts", f"127.0.1.1 {name}\n" + self.hosts)
        shutil.copyfile(os.path.realpath("/etc/resolv.conf"), f"{upper}/etc/resolv.conf")
        os.makedirs(f"{upper}/etc/systemd/system", exist_ok=True)
        for unit in MASKED:
            os.symlink("/dev/null", f"{upper}/etc/systemd/system/{unit}")

    @staticmethod
    def answers(host):
        """Waits until a board's sshd takes connections."""
        until = time.monotonic() + 60
        while subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/{host}/22 && read -t 2 -u 3"], stderr=subprocess.DEVNULL).returncode != 0:
            if time.monotonic() > until:
                raise SystemExit(f"{host}: no sshd after a minute; see board.log")
            time.sleep(0.3)

    def end(self):
        for child in self.running:
            child.kill()
            child.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", self.namespace(name)], stderr=subprocess.DEVNULL)
            for _ in range(50):
                for at, _, _ in os.walk(self.group(name), topdown=False):
                    try:
                        os.rmdir(at)
                    except OSError:
                        pass
                if not os.path.exists(self.group(name)):
                    break
                time.sleep(0.1)
        subprocess.run(["iptables", "-t", "nat", "-D", "POSTROUTING", *self.rule], stderr=subprocess.DEVNULL)
        self.write("/proc/sys/net/ipv4/ip_forward", self.forwards)
        subprocess.run(["ip", "link", "del", SWITCH], stderr=subprocess.DEVNULL)
