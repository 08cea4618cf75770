#!/usr/bin/env python3
"""A day of a home's cluster in twenty minutes: real nodes, cameras and a broker on loopback, with what a day brings, and whether anything was lost or grew.

    soak.py [--minutes 20] [--out out/soak] [--node FILE --weights FILE]

Four edges and a gateway of the demo. Edges 1 and 2 watch ffmpeg test streams, edge 3 gets the demo's picture once a second, edge 4 only computes. At parts
of the time: a camera stands still for a minute, the gateway is restarted, the broker is restarted, edge 4 is killed, the disk of the records is full for a minute.
In the end the sources take no more frames, and the cluster rests for a minute. Then every accepted frame must have exactly one record, records of the demo's picture must all say
the same, and memory (proportional set size), open files, and processor time at rest must be within their bounds. `samples.csv` has all samples, `soak.svg` shows
them. Needs root (a small disk of its own), ffmpeg, mosquitto and python3-matplotlib. Exit status: 0; 1 when anything is out of bounds.
"""
import argparse, collections, csv, json, os, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DEMO = os.path.join(ROOT, "models", "demo")
EDGES = 4
# Cameras: edge, name, frames a second.
CAMERAS = [(1, "porch", 4), (2, "garden", 2)]
PICTURES = 3
# Between two samples, seconds; a camera sleeps and a disk is full for so long, and the cluster rests so long.
EVERY, PAUSE = 5, 60
# Of these bytes, the disk of the records: twice of what twenty minutes write.
DISK = 64 << 20
# What the issue of a home asks for.
SLOPE_MIB_PER_HOUR, REST_CORES = 1.0, 0.01
# A process is not judged for its first minutes, when caches and pools fill, nor by fewer samples.
WARM_S, SAMPLES = 120, 60
# Node that watches, when a part of the whole time has passed.
PLAN = [(0.10, "camera still"), (0.25, "gateway restarted"), (0.40, "broker restarted"), (0.55, "edge 4 killed"), (0.65, "disk full")]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def tree(pid):
    """A process and all that it started, without ffmpeg, which is another program's memory."""
    found, left = [], [pid]
    while left:
        pid = left.pop()
        if read(f"/proc/{pid}/comm").strip() == "ffmpeg":
            continue
        found.append(pid)
        for thread in os.listdir(f"/proc/{pid}/task") if os.path.isdir(f"/proc/{pid}/task") else []:
            left += [int(p) for p in read(f"/proc/{pid}/task/{thread}/children").split()]
    return found


def memory(pids):
    """Proportional set size in MiB."""
    each = [re.search(r"^Pss:\s+(\d+)", read(f"/proc/{pid}/smaps_rollup"), re.M) for pid in pids]
    return sum(int(m[1]) for m in each if m) / 1024


def files(pids):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids if os.path.isdir(f"/proc/{pid}/fd"))


def processor(pids):
    """Seconds of processor time."""
    used = 0
    for pid in pids:
        fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12]) if fields else 0
    return used / os.sysconf("SC_CLK_TCK")


class Cluster:
    def __init__(self, node, weights, out):
        self.node, self.out = node, out
        self.work = tempfile.mkdtemp(prefix="tessera-soak-")
        self.disk = os.path.join(self.work, "disk")
        os.mkdir(self.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", self.disk], check=True)
        self.weights = weights
        self.ports = {name: free_port() for name in ["gateway", "http", "broker", *(name for _, name, _ in CAMERAS)]}
        self.running, self.began, self.lives = {}, {}, collections.Counter()
        self.picture = open(os.path.join(DEMO, "demo.png"), "rb").read()

    def start(self, name, words, **more):
        self.lives[name] += 1
        said = open(f"{self.out}/{name}-{self.lives[name]}.log", "w")
        self.running[name] = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, cwd=self.work, **more)
        self.began[name] = time.monotonic()

    def gateway(self):
        self.start("gateway", [self.node, "gateway", "--weights", self.weights, "--listen", f"127.0.0.1:{self.ports['gateway']}", "--records",
                               self.disk + "/records.jsonl", "--http", f"127.0.0.1:{self.ports['http']}", "--mqtt", f"127.0.0.1:{self.ports['broker']}",
                               "--stats", self.out + "/gateway.json"])

    def edge(self, k):
        words = [self.node, "edge", "--weights", self.weights, "--gateway", f"127.0.0.1:{self.ports['gateway']}", "--id", str(k), "--stats", f"{self.out}/edge{k}.json"]
        for edge, name, fps in CAMERAS:
            if edge == k:
                words += ["--source", f"{name}=udp://127.0.0.1:{self.ports[name]}", "--fps", str(fps)]
        if k == PICTURES:
            words += ["--source", "-"]
        self.start(f"edge{k}", words, stdin=subprocess.PIPE if k == PICTURES else subprocess.DEVNULL)

    def camera(self, name, fps):
        self.start(name, ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", f"testsrc2=size=320x240:rate={2 * fps}", "-c:v", "mpeg2video",
                          "-g", "10", "-f", "mpegts", f"udp://127.0.0.1:{self.ports[name]}?pkt_size=1316"], stdin=subprocess.DEVNULL)

    def broker(self):
        config = self.work + "/mosquitto.conf"
        with open(config, "w") as f:
            f.write(f"listener {self.ports['broker']} 127.0.0.1\nallow_anonymous true\n")
        self.start("broker", [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", config], stdin=subprocess.DEVNULL)

    def stop(self, name, number=signal.SIGTERM):
        process = self.running.pop(name)
        process.send_signal(number)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "did not end"

    def nodes(self):
        return {name: p for name, p in self.running.items() if name.startswith(("gateway", "edge"))}

    def statistics(self, name):
        file = f"{self.out}/{name}.json"
        before = os.stat(file).st_mtime_ns if os.path.exists(file) else 0
        self.running[name].send_signal(signal.SIGUSR1)
        for _ in range(100):
            if os.path.exists(file) and os.stat(file).st_mtime_ns != before:
                break
            time.sleep(0.1)
        return json.load(open(file))

    def healthy(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['http']}/healthz", timeout=3) as answer:
                return answer.status == 200
        except OSError:
            return False

    def end(self):
        for name in list(self.running):
            self.stop(name)
        subprocess.run(["umount", self.disk], check=False)
        shutil.rmtree(self.work, ignore_errors=True)


class Pictures(threading.Thread):
    """Gives an edge one picture a second, as long as the edge takes them."""

    def __init__(self, pipe, picture):
        super().__init__(daemon=True)
        self.pipe, self.picture, self.ends = pipe, picture, threading.Event()

    def run(self):
        with self.pipe:
            while not self.ends.wait(1.0):
                try:
                    self.pipe.write(self.picture)
                    self.pipe.flush()
                except BrokenPipeError:
                    return


class Watch:
    """Samples of all nodes, and what happened when."""

    def __init__(self, cluster):
        self.cluster, self.zero, self.samples, self.events = cluster, time.monotonic(), [], []
        self.next = self.zero

    def now(self):
        return time.monotonic() - self.zero

    def note(self, what):
        self.events.append((self.now(), what))
        print(f"{self.now():7.1f} s  {what}", flush=True)

    def until(self, at):
        """Goes on until so many seconds have passed."""
        while self.now() < at:
            if time.monotonic() >= self.next:
                self.next += EVERY
                self.sample()
            time.sleep(max(0, min(1.0, at - self.now())))

    def sample(self):
        for name, process in self.cluster.nodes().items():
            if process.poll() is not None:
                self.note(f"{name} ended with {process.returncode}: see its log")
                self.samples.append((self.now(), name, self.cluster.lives[name], -1, 0, 0))
                continue
            pids = tree(process.pid)
            self.samples.append((self.now(), name, self.cluster.lives[name], memory(pids), files(pids), processor(pids)))

    def series(self):
        """Samples of each process: seconds, MiB, files."""
        each = collections.defaultdict(list)
        for at, name, life, mib, opened, _ in self.samples:
            each[name, life].append((at, mib, opened))
        return each


def slope(points):
    """Least squares, per hour, of what a process holds once it is warm; no number for processes that lived too short."""
    points = [(at / 3600, mib) for at, mib, _ in points if at - points[0][0] >= WARM_S]
    if len(points) < SAMPLES:
        return None
    mean = [sum(c) / len(points) for c in zip(*points)]
    return sum((x - mean[0]) * (y - mean[1]) for x, y in points) / sum((x - mean[0]) ** 2 for x, _ in points)


def day(c, w, minutes):
    whole = minutes * 60
    pictures = Pictures(c.running[f"edge{PICTURES}"].stdin, c.picture)
    pictures.start()
    for part, what in PLAN:
        w.until(part * whole)
        w.note(what)
        if what == "camera still":
            camera = c.running[CAMERAS[0][1]]
            camera.send_signal(signal.SIGSTOP)
            w.until(w.now() + PAUSE)
            camera.send_signal(signal.SIGCONT)
            w.note("camera moves")
        elif what == "gateway restarted":
            w.note(f"gateway ended with {c.stop('gateway')}")
            w.until(w.now() + 5)
            c.gateway()
        elif what == "broker restarted":
            c.stop("broker")
            w.until(w.now() + 20)
            c.broker()
        elif what == "edge 4 killed":
            # Its workers are told by the system.
            c.stop("edge4", signal.SIGKILL)
            w.until(w.now() + 10)
            c.edge(4)
        elif what == "disk full":
            filler = c.disk + "/filler"
            with open(filler, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(bytes(65536))
                except OSError:
                    pass
            w.until(w.now() + PAUSE)
            os.remove(filler)
            w.note("disk has room")
    w.until(whole)
    w.note("sources take no more frames")
    for k in range(1, EDGES):
        c.running[f"edge{k}"].send_signal(signal.SIGUSR2)
    pictures.ends.set()
    w.until(w.now() + 20)


def rest(c, w):
    """Cores that each node takes while nothing happens."""
    def now():
        return {name: processor(tree(p.pid)) for name, p in c.nodes().items()}
    before, at = now(), time.monotonic()
    w.note("rest")
    w.until(w.now() + PAUSE)
    after, took = now(), time.monotonic() - at
    return {name: (after[name] - before[name]) / took for name in before}


def judge(c, w, cores):
    """Lines of a table: what, seen, bound, whether it is kept."""
    rows = []
    records = [json.loads(line) for line in open(c.disk + "/records.jsonl")]
    each = collections.Counter((r["source"], r["epoch"], r["frame"]) for r in records)
    rows.append(("records twice", sum(n - 1 for n in each.values()), "0", len(each) == len(records)))
    for k in range(1, EDGES):
        accepted = c.statistics(f"edge{k}")["frames"]["accepted"]
        written = sum(1 for source, _, _ in each if source == k)
        rows.append((f"edge{k}: frames accepted, records", f"{accepted}, {written}", "equal", accepted == written > 0))
    lost = sum("detections" not in r for r in records)
    rows.append(("records without a result", lost, "0", lost == 0))
    told = {json.dumps(r.get("detections")) for r in records if r["source"] == PICTURES}
    rows.append(("results of the one picture", len(told), "1", len(told) == 1 and "label" in next(iter(told))))
    for (name, life), points in sorted(w.series().items()):
        grows = slope(points)
        if grows is not None:
            rows.append((f"{name}, life {life}: MiB per hour", f"{grows:+.2f} of {points[-1][1]:.1f}", f"below {SLOPE_MIB_PER_HOUR}", grows < SLOPE_MIB_PER_HOUR))
            warm = [n for at, _, n in points if at - points[0][0] >= WARM_S]
            late, early = statistics.median(warm[len(warm) // 2:]), statistics.median(warm[:len(warm) // 2])
            rows.append((f"{name}, life {life}: open files, first and second half", f"{early:.0f}, {late:.0f}", "no growth", late <= early))
    for name, used in cores.items():
        rows.append((f"{name}: processor at rest", f"{100 * used:.2f} %", f"below {100 * REST_CORES:.0f} %", used < REST_CORES))
    ended = [what for _, what in w.events if "ended with" in what and not what.endswith(" 0")]
    rows.append(("nodes that ended by themselves", len(ended), "0", not ended))
    return rows


def draw(w, path):
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plot
    grey = "#808080"
    plot.rcParams.update({"text.color": grey, "axes.labelcolor": grey, "axes.edgecolor": grey, "xtick.color": grey, "ytick.color": grey, "svg.hashsalt": "soak"})
    figure, both = plot.subplots(2, 1, sharex=True, figsize=(10, 6))
    colours = {}
    for (name, life), points in sorted(w.series().items()):
        points = [p for p in points if p[1] >= 0]
        times = [at / 60 for at, _, _ in points]
        for axis, column in zip(both, (1, 2)):
            line, = axis.plot(times, [p[column] for p in points], label=name if life == 1 else None, color=colours.get(name), linewidth=1.2)
            colours[name] = line.get_color()
    for axis, title in zip(both, ("memory, MiB (PSS)", "open files")):
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
        for at, _ in w.events:
            axis.axvline(at / 60, color=grey, linewidth=0.5, linestyle=":")
    for at, what in w.events:
        both[0].annotate(what, (at / 60, 1.01), xycoords=("data", "axes fraction"), rotation=30, fontsize=7)
    both[1].set_xlabel("minutes")
    both[0].legend(ncols=5, fontsize=8, frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, transparent=True)


def build():
    words = ["cargo", "xtask", "build", "--model", DEMO + "/demo.cfg", "--grid", "3x3", "--offload", "8", "--edges", str(EDGES), "--with", "mqtt", "--with", "service"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return [os.path.join(ROOT, re.search(rf"^{what}: +(.+)$", done.stdout, re.M)[1]) for what in ("node", "weights")]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=20)
    p.add_argument("--out", default=os.path.join(ROOT, "out", "soak"))
    p.add_argument("--node", help="a node of the demo for four edges that was built with MQTT and HTTP, instead of a new one")
    p.add_argument("--weights", help="the node's weights.bin")
    a = p.parse_args()
    if os.geteuid():
        sys.exit("soak.py needs root, for a small disk of its own")
    for program in ("ffmpeg", "/usr/sbin/mosquitto"):
        if not shutil.which(program) and not shutil.which(os.path.basename(program)):
            sys.exit(f"soak.py needs {os.path.basename(program)}: sudo apt install {os.path.basename(program)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(a.out, ignore_errors=True)
    os.makedirs(a.out)
    node, weights = [os.path.abspath(file) for file in (a.node, a.weights)] if a.node else build()
    c = Cluster(node, weights, os.path.abspath(a.out))
    try:
        c.broker()
        c.gateway()
        for k in range(1, EDGES + 1):
            c.edge(k)
        for _, name, fps in CAMERAS:
            c.camera(name, fps)
        w = Watch(c)
        day(c, w, a.minutes)
        cores = rest(c, w)
        rows = judge(c, w, cores)
        rows.append(("the gateway answers health", c.healthy(), "True", c.healthy()))
        shutil.copy(c.disk + "/records.jsonl", a.out)
    finally:
        c.end()
    with open(a.out + "/samples.csv", "w", newline="") as f:
        table = csv.writer(f)
        table.writerow(["seconds", "node", "life", "pss_mib", "files", "processor_s"])
        table.writerows((f"{at:.1f}", name, life, f"{mib:.2f}", opened, f"{used:.2f}") for at, name, life, mib, opened, used in w.samples)
    draw(w, a.out + "/soak.svg")
    print("\n| what | seen | asked | |\n|---|---|---|---|")
    for what, seen, bound, kept in rows:
        print(f"| {what} | {seen} | {bound} | {'yes' if kept else '**no**'} |")
    sys.exit(0 if all(kept for *_, kept in rows) else 1)


main()
