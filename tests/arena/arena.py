#!/usr/bin/env python3
"""Runs a plan's nodes as a slow cluster on one machine, and compares times and bytes with the plan's estimates.

    arena.py CRATE [--quotas 9000,4500,4500] [--gateway-quota 18000] [--rate 40300kbit] [--frames N]
             [--sources N] [--worker-share F] [--busy N] [--memory] [--json FILE] [--tick-us N]
             [--keep]

CRATE is the folder that `cargo xtask build` wrote; with several targets it has a folder for each. Edge k of plan.toml gets the k-th quota:
microseconds of one core in every period (default: 20 ms). The gateway has a quota of its own (default: four times the mean; 0: none). The first
`--sources` edges bring `--frames` frames each; with several frames, frames per second are printed. Needs root.

--worker-share F slows kernels and leaves the network alone: workers and the tail get F of their node's quota, as boards have it whose kernels take 1/F
times as long as this machine's. In the cluster file, that is the boards' `speed`.

--busy N lets N more boards compute all the time, each alone and with an edge's quota, as the other edges of a larger cluster do: processors share
caches, and often cores, so that a board that has the machine to itself is faster.

--memory compares what each node's processes hold together (proportional set size, looked at every 20 ms) with the plan's figure. Each node then
has copies of the program and the weights of its own, since the system counts a page that two nodes map only once. Looking takes time: times of
such a run say little.

A kernel looks at quotas when its clock ticks, every 4 ms in most: a process that may run 1 ms in every 20 runs 4 and then waits for 80. So a process on
every processor wakes up every --tick-us (1000 us; 0: none), which makes the system look; quotas are kept to within that time then.

--keep leaves what the nodes said and their statistics in a folder, whose name is printed.
"""
import argparse, json, os, re, shutil, signal, subprocess, sys, tempfile, threading, time, tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
NET = os.path.join(HERE, "net.sh")
CGROUPS = "/sys/fs/cgroup/cpu"


def write(file, value):
    with open(file, "w") as f:
        f.write(str(value))


def group(name, quota, period):
    """A group of processes that together get `quota` microseconds of every `period`; 0 for no limit. The system takes no quota below 1000: the period
    is longer instead."""
    if 0 < quota < 1000:
        quota, period = 1000, int(1000 / quota * period)
    folder = f"{CGROUPS}/{name}"
    os.makedirs(folder, exist_ok=True)
    write(folder + "/cpu.cfs_period_us", period)
    write(folder + "/cpu.cfs_quota_us", int(quota) if quota > 0 else -1)
    return folder


class Workers(threading.Thread):
    """Moves what computes, workers and the tail's threads, as they start, into a group below their node's that has a part of its quota."""

    def __init__(self, quotas, period, share):
        super().__init__(daemon=True)
        self.quotas, self.period, self.share, self.folders, self.moved, self.ended = quotas, period, share, {}, set(), False

    def run(self):
        while not self.ended:
            for folder, quota in list(self.quotas.items()):
                for pid in open(folder + "/cgroup.procs").read().split():
                    try:
                        self.look(folder, quota, pid)
                    except OSError:
                        continue  # the process has ended since
            time.sleep(0.005)

    def look(self, folder, quota, pid):
        words = open(f"/proc/{pid}/cmdline").read().split("\0")
        if "worker" in words[1:5]:
            self.move(folder, quota, "cgroup.procs", pid)
        elif "gateway" in words[1:2]:
            # Threads of the tail start when they are needed.
            for thread in set(os.listdir(f"/proc/{pid}/task")) - self.moved:
                if open(f"/proc/{pid}/task/{thread}/comm").read().startswith(("tail", "team")):
                    self.move(folder, quota, "tasks", thread)
                    self.moved.add(thread)

    def move(self, folder, quota, file, which):
        if folder not in self.folders:
            self.folders[folder] = group(os.path.relpath(folder, CGROUPS) + "/workers", quota * self.share, self.period)
        write(f"{self.folders[folder]}/{file}", which)

    def end(self):
        self.ended = True
        self.join()
        for folder in self.folders.values():
            write(folder + "/cpu.cfs_quota_us", -1)


def ticks(interval_us):
    """A process for each processor that only wakes up, before all others."""
    wake = ("import os, sys, time\nos.sched_setaffinity(0, {int(sys.argv[1])})\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\n"
            "parent = os.getppid()\nwhile os.getppid() == parent:\n    time.sleep(int(sys.argv[2]) / 1e6)\n")
    processors = sorted(os.sched_getaffinity(0)) if interval_us > 0 else []
    return [subprocess.Popen([sys.executable, "-c", wake, str(processor), str(interval_us)]) for processor in processors]


def crate_of(crate, target):
    """The folder of a target's node and weights."""
    own = os.path.join(crate, target)
    return own if os.path.isdir(own) else crate


def keys(folder, crate, gateway, edges, own):
    """A cluster file with the plan's boards, their keys made by the node itself, and a secret: the boards' traffic is sealed as on a real network."""
    def pair(name, target):
        node = crate_of(crate, target) + "/target/node"
        made = subprocess.run([node, "keygen", f"{folder}/{name}.key"], capture_output=True, text=True, check=True).stdout
        return dict(re.findall(r'^(\w+) = "([^"]+)"', made, re.M))

    # A secret looks like a private key.
    pair("secret", gateway["target"])
    os.rename(f"{folder}/secret.key", f"{folder}/cluster.secret")
    roles = ["gateway", "edge"] if own else ["gateway"]
    boards = [("hub", roles, "10.77.0.1:7400", gateway["target"])]
    boards += [(f"edge{k}", ["edge", "source"], f"10.77.0.{10 + k}", b["target"]) for k, b in enumerate(edges)]
    text = "version = 1\n"
    for name, roles, address, target in boards:
        made = pair(name, target)
        text += f'[[board]]\nname = "{name}"\nroles = {json.dumps(roles)}\naddress = "{address}"\ntarget = "{target}"\nkey = "{made["key"]}"\n'
        if own and name == "hub":
            text += f'edge_key = "{made["edge_key"]}"\n'
    write(folder + "/cluster.toml", text)


class Memory:
    """The most bytes that the processes of each group held together."""

    def __init__(self):
        self.most, self.parts = {}, {}

    def look(self, groups):
        for name, folder in groups.items():
            total, parts = 0, {}
            for pid in open(folder + "/cgroup.procs").read().split():
                try:
                    lines = [line.split() for line in open(f"/proc/{pid}/smaps_rollup")]
                except OSError:
                    continue  # the process has ended since
                for words in lines:
                    if words[0] == "Pss:":
                        total += int(words[1]) << 10
                    if words[0] in ("Pss_Anon:", "Pss_File:", "Pss_Shmem:"):
                        parts[words[0][4:-1].lower()] = parts.get(words[0][4:-1].lower(), 0) + (int(words[1]) << 10)
            if total > self.most.get(name, 0):
                self.most[name], self.parts[name] = total, parts


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("crate")
    p.add_argument("--quotas", default="1450")
    p.add_argument("--gateway-quota", type=int)
    p.add_argument("--period", type=int, default=20000)
    p.add_argument("--rate", default="40300kbit")
    p.add_argument("--frames", type=int, default=1)
    p.add_argument("--sources", type=int, default=1)
    p.add_argument("--image", default=os.path.join(HERE, "../../models/demo/demo.png"))
    p.add_argument("--timeout", type=float, default=120)
    p.add_argument("--worker-share", type=float)
    p.add_argument("--busy", type=int, default=0)
    p.add_argument("--memory", action="store_true")
    p.add_argument("--json")
    p.add_argument("--tick-us", type=int, default=1000)
    p.add_argument("--keep", action="store_true")
    a = p.parse_args()
    # Whoever ends this command leaves no namespace behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    crate = os.path.abspath(a.crate)
    first = crate if os.path.exists(crate + "/plan.toml") else os.path.join(crate, sorted(os.listdir(crate))[0])
    plan = tomllib.load(open(first + "/plan.toml", "rb"))
    edges = [b for b in plan["boards"] if b["id"] > 0]
    # The gateway starts the edge on its own board, which is the last one.
    own = edges.pop() if plan["estimates"].get("gateway_workers") else None
    if own and plan["dataflow"].get("placement", "home") == "home":
        homes = {t.get("home", 0) for s in plan["dataflow"]["stages"] for t in s["tiles"]}
        # Tasks without a home (65535) may run on any board.
        own = own if homes & {own["id"] - 1, 65535} else None
    gateway = next(b for b in plan["boards"] if b["id"] == 0)
    quotas = [int(q) for q in a.quotas.split(",")]
    if any(0 < q < 1000 for q in quotas):
        p.error("a quota has 1000 microseconds at least: give a longer --period")
    if a.worker_share and a.memory:
        p.error("--memory looks at whole nodes: leave --worker-share out")
    quotas += quotas[-1:] * (len(edges) - len(quotas))
    gateway_quota = a.gateway_quota if a.gateway_quota is not None else 4 * sum(quotas) // len(quotas)
    t = tempfile.mkdtemp(prefix="arena")
    keys(t, crate, gateway, edges, own)
    subprocess.run([NET, "up", str(len(edges)), a.rate], check=True)
    processes, groups, named, memory, workers = {}, [], {}, Memory(), None
    ticking = ticks(a.tick_us)

    def start(namespace, name, folder, target, args):
        command = f'echo $$ > {folder}/cgroup.procs; exec "$@"'
        home = crate_of(crate, target)
        program, weights = home + "/target/node", home + "/weights.bin"
        if a.memory:
            own_folder = f"{t}/{name}"
            os.makedirs(own_folder)
            program, weights = (shutil.copy(file, own_folder) for file in (program, weights))
        node = [program, args[0], "--weights", weights, *args[1:]]
        out = open(f"{t}/{name}.out", "w")
        named[name] = folder
        words = ["bash", "-c", command, "x", NET, "in", namespace, *node]
        processes[name] = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)

    def channel_bytes():
        return int(subprocess.run([NET, "bytes"], capture_output=True, text=True, check=True).stdout)

    try:
        groups.append(group("tessera-g", gateway_quota, a.period))
        start("g", "gateway", groups[0], gateway["target"], ["gateway", "--config", t + "/cluster.toml", "--name", "hub", "--frames", str(a.frames * a.sources),
              "--records", t + "/records.jsonl", "--stats", t + "/gateway.json", "--threads", "2"]
              + (["--workers", str(own.get("workers", 1)), "--worker-threads", str(own.get("threads", 1))] if own else []))
        if a.worker_share:
            of_gateway = {groups[0]: gateway_quota} if gateway_quota > 0 else {}
            workers = Workers(of_gateway, a.period, a.worker_share)
            workers.start()
        time.sleep(0.5)
        for k in range(a.busy):
            folder = group(f"tessera-busy{k}", quotas[0] * (a.worker_share or 1), a.period)
            groups.append(folder)
            start("g", f"busy{k}", folder, edges[0]["target"], ["solo", "--repeat", "1000000", "--image", a.image])
        before = None
        # The sources start last, when all others have joined.
        for k in [*range(a.sources, len(edges)), *reversed(range(a.sources))]:
            folder = group(f"tessera-{k}", quotas[k], a.period)
            groups.append(folder)
            if workers and quotas[k] > 0:
                workers.quotas[folder] = quotas[k]
            args = ["edge", "--config", t + "/cluster.toml", "--name", f"edge{k}", "--listen", f"10.77.0.{10 + k}:7400",
                    "--workers", str(edges[k].get("workers", 1)), "--threads", str(edges[k].get("threads", 1)), "--stats", f"{t}/edge{k}.json"]
            if k < a.sources:
                for _ in range(600 if before is None else 0):
                    if open(t + "/gateway.out").read().count(" joined from ") >= len(edges) - a.sources + bool(own):
                        break
                    time.sleep(0.1)
                if before is None:
                    time.sleep(1.0)
                    before = channel_bytes()
                args += ["--image"] + [a.image] * a.frames
            start(str(k), f"edge{k}", folder, edges[k]["target"], args)
        begin = time.time()
        records = []
        while processes["gateway"].poll() is None and time.time() < begin + a.timeout:
            time.sleep(0.02 if a.memory else 0.05)
            records += [time.time() - begin] * (written(t + "/records.jsonl") - len(records))
            if a.memory:
                memory.look(named)
        records += [time.time() - begin] * (written(t + "/records.jsonl") - len(records))
        after = channel_bytes()
        for q in processes.values():
            if q.poll() is None:
                q.send_signal(signal.SIGTERM)
        if workers:
            workers.end()
        for folder in groups:
            write(folder + "/cpu.cfs_quota_us", -1)
        for q in processes.values():
            try:
                q.wait(10)
            except subprocess.TimeoutExpired:
                q.kill()
        report(a, t, plan, edges, quotas, (after - before) / (a.frames * a.sources), records, memory)
    finally:
        for q in [*processes.values(), *ticking]:
            if q.poll() is None:
                q.kill()
        subprocess.run([NET, "down"])
        for folder in [*(workers.folders.values() if workers else ()), *groups]:
            try:
                os.rmdir(folder)
            except OSError:
                pass
        if a.keep:
            print("kept", t)
        else:
            shutil.rmtree(t, ignore_errors=True)


def written(records):
    """Number of records so far."""
    try:
        return open(records).read().count("\n")
    except OSError:
        return 0


def frames_per_second(records, in_flight):
    """From the end of the first frames to the last one that others are behind: at both ends boards idle."""
    steady = records[in_flight:len(records) - in_flight + 1]
    return (len(steady) - 1) / (steady[-1] - steady[0]) if len(steady) > 1 else None


def report(a, t, plan, edges, quotas, sent, records, memory):
    stats = json.load(open(t + "/gateway.json"))
    tail = stats["frames"]["tail_us"] / 1e6 / max(1, stats["frames"]["detections"])
    planned, traffic = plan["estimates"]["seconds"], plan["estimates"]["traffic"]
    out = {"plan": plan["name"], "quotas": quotas, "detections": stats["frames"]["detections"], "edges": {}}
    for k, board in enumerate(edges):
        try:
            e = json.load(open(f"{t}/edge{k}.json"))
        except OSError:
            continue
        c = e["counters"]
        out["edges"][board["name"]] = {"own": c["tasks_own"], "stolen": c["tasks_stolen"], "busy_s": sum(w["busy_us"] for w in e["workers"]) / 1e6}
        if k == 0:
            frames = [x["latency_us"] / 1e6 for x in e["frames"]["each"]]
    best = min(frames)
    rows = [("last tile, s", planned["stages"], best - tail), ("tail, s", planned["tail"], tail), ("detections, s", planned["frame"], best),
            ("MiB", traffic["expected.total"] / 2**20, sent / 2**20)]
    out["frames_s"] = frames
    out["records_s"] = records
    in_flight = plan["dataflow"].get("frames_in_flight", 2) * a.sources
    out["fps"] = frames_per_second(records, in_flight)
    out["planned_measured"] = {name: [p, m] for name, p, m in rows}
    print(out["plan"], "quotas", quotas, "frames", [round(f, 3) for f in frames])
    for name, p, m in rows:
        print(f"  {name:14} planned {p:8.3f}  measured {m:8.3f}  {100 * (m / p - 1) if p else 0:+.0f} %")
    if out["fps"]:
        print(f"  frames per second: planned {1 / planned['period']:.4f}, measured {out['fps']:.4f}, {len(records)} in {records[-1]:.1f} s")
    if a.memory:
        out["memory"] = memory_rows(plan["estimates"]["memory"], memory)
        for name, row in out["memory"].items():
            parts = ", ".join(f"{kind} {size / 2**20:.1f}" for kind, size in row["parts"].items())
            print(f"  {name:14} planned {row['planned'] / 2**20:8.1f}  measured {row['measured'] / 2**20:8.1f} MiB ({parts})")
    for name, e in out["edges"].items():
        print(f"  {name:10}", e)
    if a.json:
        json.dump(out, open(a.json, "w"))


def memory_rows(planned, memory):
    """The plan's bytes and the measured ones of every node."""
    edge = sum(planned[k] for k in planned if k.startswith("edge.") and k != "edge.objects")
    figures = {"gateway": sum(v for k, v in planned.items() if k.startswith("gateway.")),
               "edge0": edge + planned["source.objects"] + planned["source.picture"]}
    thief = edge + planned["edge.objects"]
    return {name: {"planned": figures.get(name, thief), "measured": most, "parts": memory.parts[name]}
            for name, most in sorted(memory.most.items())}


main()
