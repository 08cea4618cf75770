//! `cluster.toml`: what it describes, how mistakes are told, and what plans make of boards that differ.

use std::path::Path;

use tessera_plan::{
    graph::Darknet,
    plan::{Plan, Split},
};
use tessera_plan_text::PlanText;
use tessera_planner::{
    boards::{Board, Link, Medium},
    cfg,
    cluster::{self, Cluster},
    kernel::costs,
    make, memory,
    model::Model,
    options::{Costs, Goal, PlanOptions, Target},
    weights,
};

const TWO: &str = r#"
version = 1

[[link]]
name = "wifi"
rate = "38.4Mbit"
delay = "15ms"

[[link]]
name = "wire"
rate = "1Gbit"
shared = false

[[board]]
name = "hub"
roles = ["gateway"]
address = "hub.local:7400"
target = "x86-64-v3"
cores = 8
used = 4
team = 2
link = "wire"

[[board]]
name = "shed"
target = "aarch64"
roles = ["edge"]
cores = 4
used = 3
memory = "64MiB"
costs = "cortex-a72"
share = 0.5
link = "wifi"

[[board]]
name = "porch"
target = "armv7"
link = "wifi"
rate = "10Mbit"
"#;

/// Finds shipped tables only.
fn shipped(name: &str, target: Target) -> Result<Costs, String> {
    let table = costs::shipped(name, target).cloned();
    table
        .map(|t| Costs::Table(t.into()))
        .ok_or_else(|| format!("no table of {name} for {}", target.name()))
}

fn read(text: &str) -> Cluster {
    let (cluster, found) = cluster::read(text.as_bytes(), &shipped);
    cluster.unwrap_or_else(|| panic!("{found:?}"))
}

#[test]
fn boards_and_links_are_described() {
    let Cluster { edges, gateway } = read(TWO);
    let names: Vec<&str> = edges.iter().map(|b| b.name.as_str()).collect();
    // The one that brings frames comes first.
    assert_eq!(names, ["porch", "shed"]);
    let [porch, shed] = &edges[..] else {
        panic!("{names:?}")
    };
    assert!(porch.source && !shed.source && !gateway.source);
    assert_eq!(
        (porch.cores, porch.memory_bytes, porch.share),
        (1, None, 1.0)
    );
    assert_eq!((shed.cores, shed.team), (3, 3));
    assert_eq!((shed.memory_bytes, shed.share), (Some(64 << 20), 0.5));
    assert_eq!((shed.core(), porch.core()), ("cortex-a72", "cortex-a53"));
    assert_eq!((gateway.cores, gateway.team), (4, 2));
    assert_eq!(gateway.address.as_deref(), Some("hub.local:7400"));
    let wifi = |bytes_per_s| Link {
        bytes_per_s,
        delay_s: 15e-3,
        medium: Medium::Shared(0),
    };
    assert_eq!((shed.link, porch.link), (wifi(4.8e6), wifi(1.25e6)));
    let wire = Link {
        bytes_per_s: 125e6,
        medium: Medium::Switched,
        ..Link::default()
    };
    assert_eq!(gateway.link, wire);
}

#[test]
fn a_file_may_be_short() {
    let short = "version = 1\nboard = [{ name = \"a\", target = \"portable\" }, \
        { name = \"g\", target = \"portable\", roles = [\"gateway\"] }]\n";
    let Cluster { edges, gateway } = read(short);
    let board = |name: &str, source| Board {
        name: name.into(),
        source,
        team: 1,
        ..Board::new(Target::Portable)
    };
    assert_eq!(edges, [board("a", true)]);
    assert_eq!(gateway, board("g", false));
}

/// `TWO` with a hub that computes tiles too.
fn both_roles() -> String {
    TWO.replace("[\"gateway\"]", "[\"gateway\", \"edge\"]")
}

#[test]
fn the_gateways_board_may_be_an_edge_too() {
    let Cluster { edges, gateway } = read(&both_roles());
    let names: Vec<&str> = edges.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["porch", "shed", "edge on hub"]);
    let own = &edges[2];
    assert!(own.is_gateway && !own.source && own.cores == gateway.cores);
    // Ids have no gaps: an edge finds its homes by its id.
    let o = PlanOptions {
        grids: vec![[3, 3]],
        offload: Some(8),
        ..options(read(&both_roles().replace("64MiB", "1GiB")))
    };
    let plan = make::plan(&yolov2(), &o).unwrap();
    let ids: Vec<(usize, &str)> = (plan.boards.iter())
        .map(|b| (b.id, b.name.as_str()))
        .collect();
    let expected = [(1, "porch"), (2, "shed"), (3, "edge on hub"), (0, "hub")];
    assert_eq!(ids, expected);
    // The threads of the hub's team share every task.
    let hub = (plan.estimates.gateway_workers, plan.boards[2].threads);
    assert_eq!((plan.estimates.edges, hub), (2, (1, 2)));
    // The hub is much faster than both edges together, so it has tiles.
    let mut tiles = plan.dataflow.stages[0].tiles.iter();
    assert!(tiles.any(|t| t.home == 2), "{:?}", plan.estimates.why);
}

#[test]
fn a_limit_holds_for_both_roles_of_a_board() {
    let with = |limit: &str| {
        let cores = "cores = 8\nused = 4";
        let limited = both_roles()
            .replace("64MiB", "1GiB")
            // A team would need less.
            .replace("team = 2", "team = 1")
            .replace(cores, &format!("{cores}\nmemory = \"{limit}\""));
        let o = PlanOptions {
            grids: vec![[3, 3]],
            offload: Some(8),
            // No leaner kernels to turn to.
            exact: true,
            ..options(read(&limited))
        };
        make::plan(&yolov2(), &o)
    };
    let memory = with("4GiB").unwrap().estimates.memory;
    let both = memory::gateway_bytes(&memory) + memory::gateway_edge_bytes(&memory);
    let mib = both.div_ceil(1 << 20);
    with(&format!("{mib}MiB")).unwrap();
    // Other homes may share less.
    let bytes = |p: &Plan| {
        let memory = &p.estimates.memory;
        memory::gateway_bytes(memory) + memory::gateway_edge_bytes(memory)
    };
    let less = (mib - 1) << 20;
    match with(&format!("{}MiB", mib - 1)) {
        Ok(p) => assert!(bytes(&p) <= less, "{}", bytes(&p)),
        Err(e) => assert!(matches!(e, make::PlanError::OverLimit { .. }), "{e}"),
    }
    let e = with(&format!("{}MiB", mib * 3 / 4)).unwrap_err();
    assert!(
        matches!(e, make::PlanError::OverLimit { needed, .. } if needed > less * 3 / 4 && needed <= both),
        "{e}"
    );
}

/// Every mistake with its place and the help that goes with it.
#[test]
fn mistakes_are_told_with_their_places() {
    let text = TWO
        .replace("cores = 4", "croes = 4")
        .replace("\"cortex-a72\"", "\"z80\"")
        .replace("[\"edge\"]", "[\"edg\"]")
        .replace("\"38.4Mbit\"", "\"38.4\"")
        .replace("target = \"armv7\"", "target = \"armv8\"")
        .replace("share = 0.5", "share = 2")
        .replace("shared = false", "shared = \"no\"")
        + "link = \"wfii\"\n";
    let text = text.replace("link = \"wifi\"\nrate = \"10Mbit\"\n", "memory = 7\n");
    let (cluster, found) = cluster::read(text.as_bytes(), &shipped);
    assert!(cluster.is_none());
    let shown: String = found.iter().map(|d| format!("{d}\n")).collect();
    insta::assert_snapshot!(shown);
}

#[test]
fn files_that_make_no_cluster_are_refused() {
    let hub = "[[board]]\nname = \"hub\"\ntarget = \"portable\"\nroles = [\"gateway\"]\n";
    let edge = "[[board]]\nname = \"a\"\ntarget = \"portable\"\n";
    let version = "version = 1\n";
    for (text, said) in [
        (String::new(), "no version"),
        ("version = 2\n".into(), "this planner reads 1"),
        ("version = \"1\"\n".into(), "whole number"),
        ("version = 1\nversion = 1\n".into(), "duplicate"),
        ("nonsense".into(), "docs/cluster.md"),
        (format!("{version}{edge}"), "no board is the gateway"),
        (format!("{version}{hub}"), "no board is an edge"),
        (
            format!("{version}{hub}{edge}{edge}"),
            "a second board \"a\"",
        ),
        (
            format!("{version}{hub}{}{edge}", hub.replace("hub", "b")),
            "a second gateway, \"b\"",
        ),
        (
            format!("{version}{hub}{edge}roles = [\"edge\"]\n"),
            "no board brings frames",
        ),
        (
            format!("{version}{hub}{edge}roles = []\n"),
            "without a role",
        ),
        (
            format!(
                "{version}{edge}{}",
                hub.replace("\"gateway\"", "\"gateway\", \"source\"")
            ),
            "brings no frames",
        ),
        (
            format!("{version}[[link]]\nname = \"w\"\n[[link]]\nname = \"w\"\n{hub}{edge}"),
            "a second link \"w\"",
        ),
        (
            format!("{version}[[link]]\nname = \"w\"\n[[link]]\nname = \"v\"\n{hub}{edge}"),
            "says no link",
        ),
        (format!("{version}[[link]]\n{hub}{edge}"), "no name"),
        (
            format!("{version}{hub}{edge}link = \"w\"\n"),
            "no link \"w\"",
        ),
        (
            format!("{version}{hub}{edge}address = \"a b\"\n"),
            "host name",
        ),
        (
            format!("{version}{hub}{edge}cores = 2\nused = 3\n"),
            "from 1 to 2",
        ),
        (format!("{version}{hub}{edge}cores = 0\n"), "from 1 to 64"),
        (format!("{version}{hub}[board]\n"), "duplicate"),
        (format!("{version}board = 3\n"), "list of tables"),
        (format!("{version}board = [3]\n"), "a table"),
        (
            format!(
                "{version}{hub}{}",
                (0..66)
                    .map(|n| edge.replace("\"a\"", &format!("\"{n}\"")))
                    .collect::<String>()
            ),
            "at most 65",
        ),
        (" ".repeat(cluster::BYTES_MAX + 1), "1 MiB"),
        (source(""), "no name"),
        (source("name = \"front\"\n"), "no from"),
        (
            source("name = \"9\"\nfrom = \"0\"\n"),
            "begin with a letter",
        ),
        (
            source("name = \"a\"\nfrom = \"rstp://a\"\n"),
            "no kind of stream",
        ),
        (
            source("name = \"a\"\nfrom = \"0\"\nfsp = 2\n"),
            "was `fps` meant?",
        ),
        (
            source("name = \"a\"\nfrom = \"0\"\nfps = 0\n"),
            "above 0 and up to 1000",
        ),
        (
            source("name = \"a\"\nfrom = \"0\"\nfps = \"2\"\n"),
            "`fps` is a number",
        ),
        (
            source("name = \"a\"\nfrom = \"0\"\nkeep = \"some\"\n"),
            "all (no frame",
        ),
        (
            source("name = \"a\"\nfrom = \"0\"\nthresh = 2\n"),
            "from 0 to 1",
        ),
        (
            source("name = \"a\"\nfrom = \"0\"\nboard = \"prch\"\n"),
            "was \"porch\" meant?",
        ),
        (
            source("name = \"a\"\nfrom = \"0\"\nboard = \"hub\"\n"),
            "\"hub\" brings no frames",
        ),
        (
            source("name = \"a\"\nfrom = \"0\"\n[[source]]\nname = \"a\"\nfrom = \"1\"\n"),
            "a second source \"a\"",
        ),
        (
            source("name = \"a\"\nfrom = \"0\"\n").replace("[\"edge\"]", "[\"edge\", \"source\"]"),
            "several boards bring frames",
        ),
    ] {
        let (cluster, found) = cluster::read(text.as_bytes(), &shipped);
        let shown: String = found.iter().map(|d| format!("{d}\n")).collect();
        assert!(
            cluster.is_none() && shown.contains(said),
            "{said}: {shown}\n{text}"
        );
    }
    let (cluster, found) = cluster::read(b"version = 1\n\xff", &shipped);
    assert!(cluster.is_none() && found[0].span.line == 2, "{found:?}");
}

/// [`TWO`] with a source of these lines.
fn source(lines: &str) -> String {
    format!("{TWO}[[source]]\n{lines}")
}

#[test]
fn sources_change_no_plan() {
    let with = source(
        "name = \"front\"\nfrom = \"rtsp://cam/live\"\nfps = 2\nkeep = \"all\"\ntimeout = 3\n",
    );
    let more = "[[source]]\nname = \"yard\"\nboard = \"porch\"\nfrom = \"0\"\nletterbox = true\nthresh = 0.5\n";
    assert_eq!(read(&(with + more)), read(TWO));
}

fn yolov2() -> Model {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/yolov2.cfg");
    let text = std::fs::read(models).unwrap();
    weights::without(cfg::read(&text, "yolov2", Darknet::Alexey).0.unwrap())
}

fn options(cluster: Cluster) -> PlanOptions {
    PlanOptions {
        boards: cluster.edges,
        gateway: cluster.gateway,
        ..PlanOptions::default()
    }
}

#[test]
fn plans_record_boards_and_a_target_for_each() {
    let o = PlanOptions {
        grids: vec![[2, 2]],
        offload: Some(8),
        ..options(read(&TWO.replace("64MiB", "1GiB")))
    };
    let plan = make::plan(&yolov2(), &o).unwrap();
    let targets: Vec<&str> = plan.target.keys().map(String::as_str).collect();
    assert_eq!(targets, ["aarch64", "armv7", "x86-64-v3"]);
    let boards: Vec<(&str, usize, &str)> = (plan.boards.iter())
        .map(|b| (b.name.as_str(), b.id, b.target.as_str()))
        .collect();
    let expected = [
        ("porch", 1, "armv7"),
        ("shed", 2, "aarch64"),
        ("hub", 0, "x86-64-v3"),
    ];
    assert_eq!(boards, expected);
    let shed = &plan.boards[1];
    assert_eq!(
        (shed.link_bits_per_s, shed.link_delay_us),
        (38_400_000, 15_000)
    );
    assert_eq!(
        (shed.memory_bytes, shed.workers * shed.threads),
        (1 << 30, 3)
    );
    assert_eq!(Plan::from_toml(&plan.to_toml()).unwrap(), plan);
}

#[test]
fn half_a_core_takes_twice_as_long() {
    let seconds = |share| {
        let board = Board {
            share,
            ..Board::new(Target::Aarch64)
        };
        let o = PlanOptions {
            grids: vec![[2, 2]],
            offload: Some(16),
            ..PlanOptions::of(1, &board)
        };
        make::plan(&yolov2(), &o).unwrap().estimates.seconds
    };
    let (whole, half) = (seconds(1.0), seconds(0.5));
    for key in ["one_thread", "tail", "cores_busy"] {
        assert!((half[key] / whole[key] - 2.0).abs() < 1e-3, "{key}");
    }
}

/// A fast edge and two slow ones of half and a quarter of its speed.
fn unequal() -> PlanOptions {
    let board = |name: &str, share| Board {
        name: name.into(),
        share,
        source: name == "a",
        ..Board::new(Target::Portable)
    };
    PlanOptions {
        boards: vec![board("a", 0.1), board("b", 0.05), board("c", 0.025)],
        ..PlanOptions::default()
    }
}

#[test]
fn tiles_by_speed_take_boards_the_same_time() {
    let m = yolov2();
    let tiles = |split| {
        let o = PlanOptions {
            grids: vec![[3, 1]],
            offload: Some(12),
            split,
            ..unequal()
        };
        let plan = make::plan(&m, &o).unwrap();
        let stage = &plan.dataflow.stages[0];
        let macs: Vec<u64> = stage.tiles.iter().map(|t| t.macs).collect();
        (stage.split, macs, plan.estimates.seconds["stages"])
    };
    let (split, macs, by_speed) = tiles(Split::Speed);
    assert_eq!(split, Split::Speed);
    // Shares of 4, 2 and 1, as nearly as rows of 38 and halos allow.
    assert!(macs[0] > macs[1] && macs[1] > macs[2], "{macs:?}");
    let ratio = macs[0] as f64 / macs[1] as f64;
    assert!((1.6..2.4).contains(&ratio), "{macs:?}");
    let (split, macs, equal) = tiles(Split::Balanced);
    assert_eq!(split, Split::Balanced);
    assert!(macs[0].abs_diff(macs[2]) < macs[0] / 4, "{macs:?}");
    // Of equal tiles, the fast board takes two of three while the next one takes its own: 2/4 of a tile's time against 3/7.
    assert!(by_speed < 0.88 * equal, "{by_speed} {equal}");
}

/// Six boards of the paper's kind on a channel of this rate.
fn six(mbit_per_s: f64) -> PlanOptions {
    let board = Board {
        link: Link {
            bytes_per_s: mbit_per_s * 1e6 / 8.0,
            ..Link::default()
        },
        ..Board::new(Target::Aarch64)
    };
    PlanOptions::of(6, &board)
}

/// The number behind `words` in a plan's reasons.
fn number_behind(plan: &Plan, words: &str) -> f64 {
    let why = plan.estimates.why.join("\n");
    let (_, rest) = why
        .split_once(words)
        .unwrap_or_else(|| panic!("{words}: {why}"));
    let number = rest.split_whitespace().next().unwrap();
    number.parse().unwrap_or_else(|_| panic!("{number}: {why}"))
}

#[test]
fn no_plan_beats_the_bound() {
    for (rate, edges) in [(38.4, 6), (1000.0, 6), (100.0, 3)] {
        let mut o = six(rate);
        o.boards.truncate(edges);
        let plan = make::plan(
            &yolov2(),
            &PlanOptions {
                offload: Some(16),
                ..o
            },
        )
        .unwrap();
        let bound = number_behind(&plan, "no plan with edges can take less than");
        let frame = plan.estimates.seconds["frame"];
        assert!(
            bound > 0.3 * frame && bound <= frame,
            "{rate}: {bound} {frame}"
        );
    }
}

#[test]
fn a_slow_channel_is_used_less() {
    let m = yolov2();
    let plan = |rate| make::plan(&m, &six(rate)).unwrap();
    let (slow, fast) = (plan(10.0), plan(1000.0));
    let bytes = |p: &Plan| p.estimates.traffic["expected.total"];
    assert!(
        5 * bytes(&slow) < 4 * bytes(&fast),
        "{} {}",
        bytes(&slow),
        bytes(&fast)
    );
    // What wires would bring is what the fast channel brings, about.
    let wired = number_behind(&slow, "every board on a wire of 1 Gbit/s:");
    assert!(wired < slow.estimates.seconds["frame"]);
    assert!(wired > 0.9 * fast.estimates.seconds["frame"]);
}

#[test]
fn goals_are_reached() {
    let m = yolov2();
    let plan = |goal| make::plan(&m, &PlanOptions { goal, ..six(100.0) }).unwrap();
    let of = |p: &Plan| (p.estimates.seconds["frame"], p.estimates.seconds["period"]);
    let (quick, quick_period) = of(&plan(Goal::Latency));
    let (frame, period) = of(&plan(Goal::Throughput));
    assert!(period <= quick_period && quick <= frame * 1.01);
    // Between both: as many frames as asked for, as soon as that allows.
    let wanted = f64::midpoint(period, quick_period);
    let (between, between_period) = of(&plan(Goal::FramesPerSecond(1.0 / wanted)));
    assert!(
        between_period <= wanted * 1.001,
        "{between_period} {wanted}"
    );
    assert!(
        between <= frame * 1.01 && between * 1.011 >= quick,
        "{quick} {between} {frame}"
    );
}
