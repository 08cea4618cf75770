#!/usr/bin/env python3
"""From bare boards to a first detection: types the lines of the README's section "Put it on boards", as they stand there, and says how long each took.

    bare.py [--base /var/tmp/tessera-bare] [--keep]

The boards have the README's names and addresses: namespaces with a Debian that debootstrap has made, with its own systemd and sshd, and a user `pi` whom a new key lets in. A camera at the README's
address shows the demo's picture by RTSP. The user's machine is this one, in a fresh clone of the commit, on a terminal where questions are answered as people do. Two things stand in for what is
not here: the boards have this machine's processor, and the network is the demo's, whose weights are in the repository. Ends with 0 when a record with detections has come.

Needs root, x86-64 with AVX2, rustup, git, debootstrap, sudo, ffmpeg, iptables, iproute2, ssh. See docs/deploy.md.
"""
import argparse, os, pty, re, select, shutil, signal, subprocess, sys, tempfile, time

from boards import Boards, base
from camera import Camera

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SECTION = "### Put it on boards"
LINES = 7
# What is not here, and what stands in for it.
STANDS_IN = [
    ("aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"),
    ("gcc-aarch64-linux-gnu", "gcc"),
    ("--target aarch64", "--target x86-64-v3"),
    ("yolov2-tiny.cfg", "models/demo/demo.cfg"),
    ("yolov2-tiny.weights", "models/demo/demo.weights"),
]
# Boards and their addresses; the camera and the user's machine, which is their router.
NAMES, CAMERA, SELF = {"hub": 10, "porch": 11, "shed": 12}, 20, 1
# Questions of programs, and what people answer.
ANSWERS = [(re.compile(rb"\(yes/no[^)]*\)\? $"), b"yes\n"), (re.compile(rb"\[Y/n\] $"), b"y\n")]
FOUND = re.compile(rb'"detections":\[\{')
# Longest time of a line, seconds.
PATIENCE = 1800


def typed(text, heading):
    """The lines of the first block of shell under a heading, without comments."""
    block = re.search(r"^```sh\n(.*?)^```", text[text.index(heading):], re.M | re.S)[1]
    return [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]


def lines():
    with open(f"{ROOT}/README.md") as readme, open(f"{ROOT}/docs/deploy.md") as deploy:
        found, again = typed(readme.read(), SECTION), typed(deploy.read(), "## From bare boards")
    if len(found) != LINES or found != again:
        sys.exit(f"README.md has {len(found)} lines under {SECTION!r}, not {LINES}, or docs/deploy.md has others")
    return found


class User:
    """Somebody at a terminal, in a clone of the repository, with a home of their own."""

    def __init__(self, work):
        self.hosts, self.ssh, self.clone = work + "/hosts", work + "/ssh", work + "/tessera"
        os.mkdir(self.ssh, 0o700)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.ssh + "/id_ed25519"], check=True)
        with open(self.ssh + "/id_ed25519.pub") as f:
            self.key = f.read()
        subprocess.run(["git", "clone", "--quiet", ROOT, self.clone], check=True)
        os.makedirs(os.path.expanduser("~/.ssh"), 0o700, exist_ok=True)

    def knows(self, hosts):
        """Names of the home's network, which boards tell by multicast elsewhere."""
        with open(self.hosts, "w") as f:
            f.write(hosts)

    def types(self, line, until=None):
        """Types a line and waits for its end, or for `until`, after which it is interrupted; whether it went well, and its seconds."""
        inside = 'mount --bind "$1" /etc/hosts && mount --bind "$2" ~/.ssh && cd "$3" && exec bash -c "$4"'
        begun = time.monotonic()
        child, terminal = pty.fork()
        if child == 0:
            os.execvp("unshare", ["unshare", "-m", "sh", "-c", inside, "sh", self.hosts, self.ssh, self.clone, line])
        said, seen = b"", None
        while time.monotonic() - begun < PATIENCE:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                more = os.read(terminal, 65536)
            except OSError:
                break
            sys.stdout.buffer.write(more)
            sys.stdout.flush()
            said = (said + more)[-65536:]
            for question, answer in ANSWERS:
                if question.search(said):
                    os.write(terminal, answer)
                    said = b""
            if until and until.search(said) and seen is None:
                seen = time.monotonic() - begun
                os.write(terminal, b"\x03")
                break
        else:
            os.kill(child, signal.SIGKILL)
        os.close(terminal)
        _, status = os.waitpid(child, 0)
        good = seen is not None if until else os.waitstatus_to_exitcode(status) == 0
        return good, seen or time.monotonic() - begun


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--base", default="/var/tmp/tessera-bare", help="where the bare Debian is kept for another time")
    flags.add_argument("--keep", action="store_true", help="leave the clone and the boards' files")
    args = flags.parse_args()
    wanted = [(line, line) for line in lines()]
    for old, new in STANDS_IN:
        wanted = [(line, re.sub(rf"(?<![\w/.-]){re.escape(old)}(?![\w.-])", new, text)) for line, text in wanted]
    debian = base(os.path.abspath(args.base))
    work = tempfile.mkdtemp(prefix="tessera-bare-")
    boards = camera = None
    rows = []
    try:
        user = User(work)
        boards = Boards(NAMES, (SELF, CAMERA), user.key, debian, work)
        user.knows(boards.hosts)
        boards.start()
        camera = Camera(f"192.168.1.{CAMERA}", f"{ROOT}/models/demo/demo.png")
        for k, (line, text) in enumerate(wanted):
            print(f"\n$ {text}", flush=True)
            good, took = user.types(text, FOUND if k == LINES - 1 else None)
            rows.append((took, good, line))
    finally:
        if camera:
            camera.end()
        if boards:
            boards.end()
        if args.keep:
            print(f"files are in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    print("\n seconds")
    for took, good, line in rows:
        print(f"{took:8.1f}  {'' if good else 'FAILED: '}{line}")
    print(f"{sum(took for took, _, _ in rows):8.1f}  in all")
    return 0 if len(rows) == LINES and all(good for _, good, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
