#!/usr/bin/env python3
"""Plans for a slow cluster that it first measures, runs the plans, and prints what was planned beside what was measured.

    table.py [--target x86-64-v3] [--costs out/costs-x86-64-v3.toml] [--quota 2650] [--worker-share F] [--runs 3] [--only NAME;..] [--out DIR] [--simulate]
    table.py --simulate --factors 0.6,0.8,1000 --runs 0      # simulated and planned alone, not as root
    table.py --plan "5x5=--offload 16 --grid 5x5" --plan "5x5, reuse=--offload 16 --grid 5x5 --border reuse"     # these plans instead of the eight
    table.py --simulate --live docs/evaluation/live.md  # eight plans and the paper's systems, live beside simulated, into a page

Six edges of one core and a gateway four times as fast on one channel of 38.4 Mbit/s; YOLOv2-608 with random weights. One edge alone runs first: how
long nine tiles and the tail take tells what a core is worth under a quota (less than its part of the time, since caches are cold after every pause), and
a frame on a fast channel what datagrams cost. These factors go into the cluster file. --worker-share only slows kernels. Then every plan is made, built, and run
until the fastest two runs agree within 5 %, at most `--runs` times; the fastest counts, and the median of the bytes. Needs root. `--simulate` also simulates every plan for the same cluster file
(`cargo xtask simulate`), and prints a second table: simulated beside planned and measured. `--live FILE` does that also for the systems of the DeepThings paper
on one, three and six edges, and writes both comparisons into FILE with the date, the machine and the command (`cargo xtask paper --live`).
"""
import argparse, datetime, json, os, re, shlex, signal, statistics, subprocess, sys, tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EDGES = 6
ONE = "one edge"
# Name, flags, whether the gateway's board computes tiles.
PLANS = [
    ("3x3", ["--offload", "16", "--grid", "3x3"], False),
    ("3x2, four stages", ["--cuts", "4,8,12,16", "--grid", "3x2"], False),
    ("2x3, two stages", ["--cuts", "8,16", "--grid", "2x3"], False),
    ("3x2, halos exchanged", ["--offload", "16", "--grid", "3x2", "--border", "exchange"], False),
    ("16 layers, searched", ["--offload", "16"], False),
    ("16 layers, searched, gateway's cores", ["--offload", "16"], True),
    ("all layers, searched", [], False),
    ("all layers, searched, gateway's cores", [], True),
]
# The paper's systems, and on how many edges they run.
SYSTEMS = [
    ("MoDNN", ["--system", "bodp"]),
    ("WSH 3x3", ["--system", "wsh", "--grid", "3x3"]),
    ("WST 3x3", ["--system", "wst", "--grid", "3x3"]),
    ("WST-S 3x3", ["--system", "wst-s", "--grid", "3x3"]),
    ("ours at its best", ["--offload", "16"]),
]
SYSTEM_EDGES = [1, 3, 6]
# The fastest two runs of a plan agree when they are so near each other.
AGREE = 1.05
# How far the simulator may be from live runs.
LATENCY_OFF, BYTES_OFF = 0.15, 0.02
KEYS = ("last tile, s", "detections, s", "MiB")


def cluster(a, factors, edges, own):
    """The text of a cluster file. `factors` has how fast kernels are on an edge and on the gateway, relative to the costs and the quota, and the
    Mbit/s in datagrams of a whole core."""
    text = 'version = 1\n\n[[link]]\nname = "air"\nrate = "38.4Mbit"\ndelay = "1ms"\n'
    for k in range(edges + 1):
        quota, speed = (4 * a.quota, factors[1]) if k == 0 else (a.quota, factors[0])
        roles = (["gateway", "edge"] if own else ["gateway"]) if k == 0 else (["edge", "source"] if k == 1 else ["edge"])
        text += f'\n[[board]]\nname = "{"hub" if k == 0 else f"b{k}"}"\nroles = {json.dumps(roles)}\ntarget = "{a.target}"\ncores = 1\n'
        text += f'share = {min(quota / a.period, 1.0):.5f}\nspeed = {speed:.4f}\ndatagrams = "{factors[2]:.0f}Mbit"\n'
        if a.costs:
            text += f'costs = "{os.path.abspath(a.costs)}"\n'
    return text


def build(a, name, text, flags):
    """The folder of the crate. Without runs, only the plan is made."""
    file = cluster_file(a, name)
    with open(file, "w") as f:
        f.write(text)
    if a.runs == 0:
        crate = f"{a.out}/plan-{os.path.basename(file)[:-5]}"
        words = ["cargo", "xtask", "plan", "--model", "yolov2.cfg", "--cluster", file, "--out", crate, *flags]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
        return crate
    words = ["cargo", "xtask", "build", "--model", "yolov2.cfg", "--weights", "random:1", "--cluster", file, *flags]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return os.path.join(ROOT, re.search(r"generated/[\w.-]+", done.stdout + done.stderr)[0])


def cluster_file(a, name):
    return f"{a.out}/{re.sub('[^a-z0-9]+', '-', name.lower())}.toml"


def simulated(a, name, crate):
    """Seconds to the last tile and to the detections, and MiB in datagrams, of one frame in virtual time."""
    words = ["cargo", "xtask", "simulate", crate + "/plan.toml", "--cluster", cluster_file(a, name), "--json", a.out + "/simulated.json"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    s = json.load(open(a.out + "/simulated.json"))["summary"]
    # What the arena counts has the headers of Ethernet, IP and UDP, and what a session adds to a datagram.
    mib = (s["sent_bytes"] + (42 + 32) * s["datagrams"]) / 2**20
    return {"last tile, s": s["merged_s"]["first"], "detections, s": s["latency_s"]["first"], "MiB": mib}


def found(values, key):
    """The measured value that counts: the least, since what else the machine does only adds; of bytes the median. `None` without runs."""
    return (statistics.median if key == "MiB" else min)(values) if values else None


def beside(rows):
    """The second table: a row is a plan's name with planned, simulated and measured values by key."""
    lines = ["| plan | last tile: planned, s | simulated, s | measured, s | simulated is off | detections: planned, s | simulated, s | measured, s | simulated is off "
             "| MiB: planned | simulated | measured | simulated is off |", "|" + "---|" * 13]
    for name, planned, sim, values in rows:
        cells = [name]
        for key in KEYS:
            live = found(values[key], key)
            cells += [f"{planned[key]:.2f}", f"{sim[key]:.2f}", "" if live is None else f"{live:.2f}", off(sim[key], live)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def off(value, live):
    return f"{100 * (value / live - 1):+.1f} %" if live else ""


def systems_beside(rows):
    """A table of the paper's systems: simulated beside live, a row per system and number of edges."""
    lines = ["| system | edges | last tile: simulated, s | live, s | simulated is off | MiB: simulated | live | simulated is off |", "|" + "---|" * 8]
    for (name, edges), _, sim, values in rows:
        cells = [name, str(edges)]
        for key in ("last tile, s", "MiB"):
            live = found(values[key], key)
            cells += [f"{sim[key]:.2f}", "" if live is None else f"{live:.2f}", off(sim[key], live)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def verdict(rows):
    """How often the simulator is as near as it should be."""
    def near(key, most):
        pairs = [(sim[key], found(values[key], key)) for _, _, sim, values in rows]
        pairs = [(sim, live) for sim, live in pairs if live]
        return f"{sum(abs(sim / live - 1) <= most for sim, live in pairs)} of {len(pairs)}"
    return (f"Within {100 * LATENCY_OFF:.0f} %: the last tile in {near('last tile, s', LATENCY_OFF)} plans, the detections in "
            f"{near('detections, s', LATENCY_OFF)}. Bytes within {100 * BYTES_OFF:.0f} % in {near('MiB', BYTES_OFF)}.")


def page(a, one, plans, systems):
    """The page of `--live`."""
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), os.uname().machine)
    command = " ".join(["table.py"] + [os.path.relpath(word, ROOT) if os.path.isabs(word) else word for word in sys.argv[1:]])
    lines = ["# Live beside simulated", "",
             "Nodes of one machine as a slow cluster ([how](../arena.md)) beside the same plans in virtual time ([how](../simulate.md)): YOLOv2-608 with random weights, one channel of "
             "38.4 Mbit/s. Of several runs the fastest counts, and the median of the bytes, which have all headers. Made by `cargo xtask paper --live`:", "",
             f"`{command}`, {datetime.date.today()}, {cpu}, {os.cpu_count()} cores. {one}", ""]
    for title, rows, table in (("The paper's systems", systems, systems_beside), ("Eight plans on six edges", plans, beside)):
        if rows:
            lines += [f"## {title}", "", *table(rows), "", verdict(rows), ""]
    with open(a.live, "w") as f:
        f.write("\n".join(lines))


def planned_values(plan):
    e = plan["estimates"]
    return {"last tile, s": e["seconds"]["stages"], "detections, s": e["seconds"]["frame"], "MiB": e["traffic"]["expected.total"] / 2**20}


def run(a, crate, flags=()):
    """What `arena.py` measured, a value per run: runs until the fastest two agree, as on a quiet machine two runs do."""
    runs = []
    while len(runs) < a.runs and not agree(runs):
        words = [sys.executable, HERE + "/arena.py", crate, "--quotas", str(a.quota), "--period", str(a.period), "--json", a.out + "/run.json", *flags]
        words += ["--worker-share", str(a.worker_share)] if a.worker_share else []
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        runs.append(json.load(open(a.out + "/run.json")))
    return runs


def agree(runs):
    """Whether the fastest two of several runs are near each other, so that nothing else took the machine's time in both."""
    ends = sorted(measured(runs, "detections, s"))[:2]
    return len(ends) == 2 and ends[1] <= AGREE * ends[0]


def measured(runs, key):
    return [r["planned_measured"][key][1] for r in runs]


def seconds(values):
    """The least, and all values behind it: what else the machine does only ever adds."""
    return f"**{min(values):.2f}** ({', '.join(f'{v:.2f}' for v in values)})"


def apart(planned, values):
    return f"{100 * (min(values) / planned - 1):+.0f} %" if planned else "-"


UNMEASURED = (1.0, 1.0, 376)


def alone(a, grid, busy):
    """One edge computes 16 layers in tiles of `grid` beside `busy` boards that compute too: the runs, and how fast the edge and the tail were relative to the costs and the quota."""
    crate = build(a, ONE, cluster(a, UNMEASURED, 1, False), ["--offload", "16", "--grid", grid])
    plan = tomllib.load(open(crate + "/plan.toml", "rb"))["estimates"]["seconds"]
    runs = run(a, crate, ["--busy", str(busy)])
    busy = min(r["edges"]["b1"]["busy_s"] for r in runs)
    return runs, plan["cores_busy"] / busy, plan["tail"] / min(measured(runs, "tail, s"))


def datagrams(a):
    """Mbit/s in datagrams of a whole core: how long a frame takes to the gateway where only the quota of its source limits it."""
    crate = build(a, ONE, cluster(a, UNMEASURED, 1, False), ["--offload", "0"])
    runs = run(a, crate, ["--rate", "10gbit"])
    return max(r["planned_measured"]["MiB"][1] * 8.388608 / r["planned_measured"]["last tile, s"][1] for r in runs) * a.period / a.quota


def measure(a, factors, plans):
    """Makes, builds, runs and simulates plans; yields name, flags' plan, planned values, simulated ones, measured runs."""
    for name, flags, own, edges in plans:
        label = name if isinstance(name, str) else f"{name[0]}, {name[1]}"
        crate = build(a, label, cluster(a, factors, edges, own), flags)
        plan = tomllib.load(open(crate + "/plan.toml", "rb"))
        runs = run(a, crate)
        sim = simulated(a, label, crate) if a.simulate else None
        yield name, plan, planned_values(plan), sim, runs


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--target", default="x86-64-v3")
    p.add_argument("--costs")
    p.add_argument("--quota", type=int, default=2650)
    p.add_argument("--period", type=int, default=20000)
    p.add_argument("--worker-share", type=float)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--simulate", action="store_true")
    p.add_argument("--live", metavar="FILE", help="write simulated beside live, of the plans and of the paper's systems, to this page")
    p.add_argument("--factors", help="how fast an edge and the gateway compute relative to costs and quota, and a core's Mbit/s in datagrams, instead of a first run")
    p.add_argument("--only", help="names of plans, separated by semicolons")
    p.add_argument("--plan", action="append", metavar="NAME=FLAGS", help="a plan with these flags instead of the eight; may be given several times")
    p.add_argument("--out", default=os.path.join(ROOT, "out", "arena"))
    a = p.parse_args()
    a.simulate |= a.live is not None
    # Whoever ends this command lets the arena remove its namespaces.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.makedirs(a.out, exist_ok=True)
    chosen = [s.strip() for s in a.only.split(";")] if a.only else [name for name, _, _ in PLANS] + [name for name, _ in SYSTEMS]
    plans = [(name, flags, own, EDGES) for name, flags, own in PLANS if name in chosen]
    if a.plan:
        given = [plan.partition("=") for plan in a.plan]
        plans = [(name, shlex.split(flags), False, EDGES) for name, _, flags in given]
    systems = [((name, n), flags, False, n) for name, flags in SYSTEMS for n in SYSTEM_EDGES if a.live and name in chosen]
    rows, one_edge = [], "Planned and simulated alone."
    if a.runs == 0 or a.factors:
        factors = [float(f) for f in (a.factors or "1,1,376").split(",")]
        one = None
    else:
        runs, _, tail = alone(a, "1x1", EDGES - 1)
        # Tiles of the size that six edges get: a whole frame's rows are slower under a quota, since more of them is gone from the caches after each pause.
        _, edge, _ = alone(a, "3x3", EDGES - 1)
        factors = (edge, tail, datagrams(a))
        one = measured(runs, "last tile, s")
        one_edge = (f"An edge computes nine tiles {edge:.3f} times as fast as planned; the gateway's factor is {tail:.3f}; "
                    f"a core handles {factors[2]:.0f} Mbit/s of datagrams.")
        print(one_edge + "\n")
        print("| plan | last tile: planned, s | measured, s | off | times one edge | detections: planned, s | measured, s | off | MiB: planned | measured |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        print(f"| {ONE} | | {seconds(one)} | | 1.00 | | {seconds(measured(runs, 'detections, s'))} | | | {statistics.median(measured(runs, 'MiB')):.2f} |", flush=True)
    for name, plan, planned, sim, runs in measure(a, factors, plans):
        values = {k: measured(runs, k) for k in KEYS}
        if runs and one:
            cells = [f"{name}: `{plan['name'].removeprefix('yolov2-').removesuffix('-' + a.target)}`"]
            for key in KEYS[:2]:
                cells += [f"{planned[key]:.2f}", seconds(values[key]), apart(planned[key], values[key])]
                if key == "last tile, s":
                    cells.append(f"{min(one) / min(values[key]):.2f}")
            cells += [f"{planned['MiB']:.2f}", f"{statistics.median(values['MiB']):.2f}"]
            print("| " + " | ".join(cells) + " |", flush=True)
        if a.simulate:
            rows.append((name, planned, sim, values))
    if rows:
        print("\n" + "\n".join(beside(rows)), flush=True)
    if a.live:
        live = []
        for name, _, planned, sim, runs in measure(a, factors, systems):
            live.append((name, planned, sim, {k: measured(runs, k) for k in KEYS}))
            print(f"{name[0]} on {name[1]}: simulated {sim['last tile, s']:.2f} s", flush=True)
        print("\n" + "\n".join(systems_beside(live) + ["", verdict(live)]), flush=True)
        page(a, one_edge, rows, live)


main()
