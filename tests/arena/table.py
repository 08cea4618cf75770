#!/usr/bin/env python3
"""Plans for a slow cluster that it first measures, runs the plans, and prints what was planned beside what was measured.

    table.py [--target x86-64-v3] [--costs out/costs-x86-64-v3.toml] [--quota 2650] [--worker-share F] [--runs 3] [--only NAME;..] [--out DIR] [--simulate]
    table.py --simulate --factors 0.6,0.8 --runs 0      # simulated and planned alone, not as root

Six edges of one core and a gateway four times as fast on one channel of 38.4 Mbit/s; YOLOv2-608 with random weights. One edge alone runs first: how
long its task and the tail take tells what a core is worth under a quota (less than its part of the time, since caches are cold after every pause).
These factors go into the cluster file, as `share`, or as `speed` with --worker-share, which only slows kernels. Then every plan is made, built, and run
`--runs` times; the fastest run counts, and the median of the bytes. Needs root. `--simulate` also simulates every plan for the same cluster file
(`cargo xtask simulate`), and prints a second table: simulated beside planned and measured.
"""
import argparse, json, os, re, statistics, subprocess, sys, tomllib

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


def cluster(a, factors, edges, own):
    """The text of a cluster file. `factors` has how fast an edge and the gateway compute, relative to the costs and the quota."""
    text = 'version = 1\n\n[[link]]\nname = "air"\nrate = "38.4Mbit"\ndelay = "1ms"\n'
    for k in range(edges + 1):
        quota, factor = (4 * a.quota, factors[1]) if k == 0 else (a.quota, factors[0])
        share, speed = (quota / a.period, factor) if a.worker_share else (quota / a.period * factor, 1.0)
        roles = (["gateway", "edge"] if own else ["gateway"]) if k == 0 else (["edge", "source"] if k == 1 else ["edge"])
        text += f'\n[[board]]\nname = "{"hub" if k == 0 else f"b{k}"}"\nroles = {json.dumps(roles)}\ntarget = "{a.target}"\ncores = 1\n'
        text += f"share = {min(share, 1.0):.5f}\nspeed = {speed:.4f}\n"
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
    return f"{a.out}/{re.sub('[^a-z0-9]+', '-', name)}.toml"


def simulated(a, name, crate):
    """Seconds to the last tile and to the detections, and MiB in datagrams, of one frame in virtual time."""
    words = ["cargo", "xtask", "simulate", crate + "/plan.toml", "--cluster", cluster_file(a, name), "--json", a.out + "/simulated.json"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    s = json.load(open(a.out + "/simulated.json"))["summary"]
    # What the arena counts has the headers of Ethernet, IP and UDP.
    mib = (s["sent_bytes"] + 42 * s["datagrams"]) / 2**20
    return {"last tile, s": s["merged_s"]["first"], "detections, s": s["latency_s"]["first"], "MiB": mib}


def beside(rows):
    """The second table: a row is a plan's name with planned, simulated and measured values by key."""
    print("\n| plan | last tile: planned, s | simulated, s | measured, s | simulated is off | detections: planned, s | simulated, s | measured, s | simulated is off "
          "| MiB: planned | simulated | measured | simulated is off |")
    print("|" + "---|" * 13)
    for name, planned, sim, values in rows:
        cells = [name]
        for key in ("last tile, s", "detections, s", "MiB"):
            one = statistics.median if key == "MiB" else min
            found = one(values[key]) if values[key] else None
            cells += [f"{planned[key]:.2f}", f"{sim[key]:.2f}", "" if found is None else f"{found:.2f}"]
            cells.append("" if not found else f"{100 * (sim[key] / found - 1):+.1f} %")
        print("| " + " | ".join(cells) + " |", flush=True)


def planned_values(plan):
    e = plan["estimates"]
    return {"last tile, s": e["seconds"]["stages"], "detections, s": e["seconds"]["frame"], "MiB": e["traffic"]["expected.total"] / 2**20}


def run(a, crate):
    """What `arena.py` measured, a value per run."""
    runs = []
    for _ in range(a.runs):
        words = [sys.executable, HERE + "/arena.py", crate, "--quotas", str(a.quota), "--period", str(a.period), "--json", a.out + "/run.json"]
        words += ["--worker-share", str(a.worker_share)] if a.worker_share else []
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        runs.append(json.load(open(a.out + "/run.json")))
    return runs


def measured(runs, key):
    return [r["planned_measured"][key][1] for r in runs]


def seconds(values):
    """The least, and all values behind it: what else the machine does only ever adds."""
    return f"**{min(values):.2f}** ({', '.join(f'{v:.2f}' for v in values)})"


def apart(planned, values):
    return f"{100 * (min(values) / planned - 1):+.0f} %" if planned else "-"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--target", default="x86-64-v3")
    p.add_argument("--costs")
    p.add_argument("--quota", type=int, default=2650)
    p.add_argument("--period", type=int, default=20000)
    p.add_argument("--worker-share", type=float)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--simulate", action="store_true")
    p.add_argument("--factors", help="how fast an edge and the gateway compute relative to costs and quota, instead of a first run")
    p.add_argument("--only", help="names of plans, separated by semicolons")
    p.add_argument("--out", default=os.path.join(ROOT, "out", "arena"))
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    chosen = [s.strip() for s in a.only.split(";")] if a.only else [name for name, _, _ in PLANS]
    rows, keys = [], ("last tile, s", "detections, s", "MiB")
    if a.runs == 0:
        factors = [float(f) for f in (a.factors or "1,1").split(",")]
        for name, flags, own in PLANS:
            if name in chosen:
                crate = build(a, name, cluster(a, factors, EDGES, own), flags)
                plan = tomllib.load(open(crate + "/plan.toml", "rb"))
                rows.append((name, planned_values(plan), simulated(a, name, crate), {k: [] for k in keys}))
        return beside(rows)
    crate = build(a, ONE, cluster(a, (1.0, 1.0), 1, False), ["--offload", "16", "--grid", "1x1"])
    plan = tomllib.load(open(crate + "/plan.toml", "rb"))["estimates"]["seconds"]
    runs = run(a, crate)
    busy = min(r["edges"]["b1"]["busy_s"] for r in runs)
    factors = (plan["cores_busy"] / busy, plan["tail"] / min(measured(runs, "tail, s")))
    one = measured(runs, "last tile, s")
    print(f"An edge computes 16 layers in {busy:.2f} s, {factors[0]:.3f} times as fast as planned; the gateway's factor is {factors[1]:.3f}.\n")
    print("| plan | last tile: planned, s | measured, s | off | times one edge | detections: planned, s | measured, s | off | MiB: planned | measured |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print(f"| {ONE} | | {seconds(one)} | | 1.00 | | {seconds(measured(runs, 'detections, s'))} | | | {statistics.median(measured(runs, 'MiB')):.2f} |", flush=True)
    for name, flags, own in PLANS:
        if name not in chosen:
            continue
        crate = build(a, name, cluster(a, factors, EDGES, own), flags)
        plan = tomllib.load(open(crate + "/plan.toml", "rb"))
        runs = run(a, crate)
        cells = [f"{name}: `{plan['name'].removeprefix('yolov2-').removesuffix('-' + a.target)}`"]
        for key in ("last tile, s", "detections, s"):
            planned, values = runs[0]["planned_measured"][key][0], measured(runs, key)
            cells += [f"{planned:.2f}", seconds(values), apart(planned, values)]
            if key == "last tile, s":
                cells.append(f"{min(one) / min(values):.2f}")
        mib = measured(runs, "MiB")
        cells += [f"{runs[0]['planned_measured']['MiB'][0]:.2f}", f"{statistics.median(mib):.2f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
        if a.simulate:
            rows.append((name, planned_values(plan), simulated(a, name, crate), {k: measured(runs, k) for k in keys}))
    if rows:
        beside(rows)


main()
