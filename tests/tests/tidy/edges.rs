//! Which crate may depend on which.

use crate::{
    report,
    sources::{Package, generated, packages},
};

/// A crate, what it may depend on, and what its own tests and benches may use besides.
type Rule = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const RULES: &[Rule] = &[
    // Facts that crates must agree on: below everything.
    ("tessera-plan", &[], &["tessera-needs"]),
    ("tessera-plan-text", &["tessera-plan"], &[]),
    (
        "tessera-planner",
        &["tessera-plan", "tessera-plan-text"],
        &["tessera-needs"],
    ),
    // Emits what a plan says. Its tests make their plans by the planner.
    (
        "tessera-codegen",
        &["tessera-plan", "tessera-plan-text"],
        &["tessera-needs", "tessera-planner"],
    ),
    ("tessera-runtime", &["tessera-plan"], &["tessera-needs"]),
    // Its tests run in the simulator's world.
    (
        "tessera-protocol",
        &["tessera-plan"],
        &["tessera-needs", "tessera-sim"],
    ),
    // Sessions between nodes: knows names and addresses, no plan.
    ("tessera-secure", &[], &["tessera-needs"]),
    (
        "tessera-sim",
        &["tessera-plan", "tessera-protocol", "tessera-secure"],
        &["tessera-needs"],
    ),
    // Plans on simulated boards: the planner's times, the simulator's world.
    (
        "tessera-simulate",
        &[
            "tessera-plan",
            "tessera-planner",
            "tessera-protocol",
            "tessera-sim",
        ],
        &["tessera-needs"],
    ),
    // A plan as a page: its drawings, and what the simulator showed.
    (
        "tessera-report",
        &["tessera-plan", "tessera-planner", "tessera-simulate"],
        &["tessera-needs"],
    ),
    // The paper's figures: systems as plans, in virtual time.
    (
        "tessera-evaluation",
        &["tessera-plan", "tessera-planner", "tessera-simulate"],
        &["tessera-needs"],
    ),
    // Knows files and pixels, no plan: xtask checks pictures by it without linking a node.
    ("tessera-picture", &[], &["tessera-needs"]),
    // Records to a broker: knows no plan and no node.
    ("tessera-mqtt", &["tessera-plan"], &["tessera-needs"]),
    // What people want to hear of: records and plain data.
    ("tessera-alerts", &["tessera-plan"], &[]),
    // How a board is: knows files of Linux, no plan and no node.
    ("tessera-health", &[], &["tessera-needs"]),
    // Boxes on pictures: knows pixels alone.
    ("tessera-annotate", &[], &["tessera-needs"]),
    // What a gateway speaks over HTTP: sees records and plain data, no machine.
    (
        "tessera-service",
        &[
            "tessera-annotate",
            "tessera-health",
            "tessera-picture",
            "tessera-plan",
            "tessera-zmtp",
        ],
        &["tessera-needs"],
    ),
    // What nodes write for Perfetto, and how it becomes one file: knows events, no plan and no node.
    ("tessera-trace", &[], &["tessera-needs"]),
    // ZeroMQ's wire protocol: knows bytes alone.
    ("tessera-zmtp", &[], &["tessera-needs"]),
    (
        "tessera-node",
        &[
            "tessera-alerts",
            // With its feature `alerts` alone.
            "tessera-annotate",
            "tessera-health",
            "tessera-mqtt",
            "tessera-picture",
            "tessera-plan",
            "tessera-protocol",
            "tessera-runtime",
            "tessera-secure",
            // With its feature `service` alone.
            "tessera-service",
            "tessera-trace",
        ],
        &["tessera-needs", "tessera-sim"],
    ),
    ("tessera-needs", &[], &[]),
    (
        "tessera-tests",
        &[
            "tessera-codegen",
            "tessera-node",
            "tessera-picture",
            "tessera-plan",
            "tessera-plan-text",
            "tessera-planner",
            "tessera-protocol",
            "tessera-runtime",
            "tessera-secure",
            "tessera-sim",
            "tessera-simulate",
            "tessera-trace",
        ],
        &["tessera-needs"],
    ),
    // The tool that a fresh clone builds first: no node.
    (
        "xtask",
        &[
            "tessera-annotate",
            "tessera-codegen",
            "tessera-health",
            "tessera-picture",
            "tessera-plan",
            "tessera-plan-text",
            "tessera-planner",
            "tessera-secure",
            "tessera-sim",
            "tessera-simulate",
            "tessera-evaluation",
            "tessera-report",
            "tessera-trace",
        ],
        &["tessera-needs", "tessera-tests"],
    ),
];

/// What emitted crates may depend on.
const GENERATED: &[&str] = &["tessera-node", "tessera-runtime"];

/// Edges that break a rule today: from, to, and what removes the edge.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Names of the dependencies in tables called `kind`, those of `[target.*]` too.
fn dependencies(package: &Package, kind: &str) -> Vec<String> {
    let targets = package.manifest.get("target").and_then(|t| t.as_table());
    let targets = targets
        .into_iter()
        .flatten()
        .filter_map(|(_, t)| t.get(kind));
    let tables = package.manifest.get(kind).into_iter().chain(targets);
    let names = tables.filter_map(|t| t.as_table()).flatten();
    names
        .map(|(name, entry)| {
            // `name = { package = "real-name" }`
            let real = entry.get("package").and_then(|p| p.as_str());
            real.unwrap_or(name).to_owned()
        })
        .collect()
}

#[test]
fn crates_depend_on_what_they_may() {
    let packages = packages();
    let own = |name: &String| packages.iter().any(|p| p.name == *name);
    let mut complaints = Vec::new();
    let mut excused = Vec::new();
    for package in &packages {
        let Some((_, always, in_tests)) = RULES.iter().find(|(n, ..)| *n == package.name) else {
            complaints.push(format!("{} has no rule", package.name));
            continue;
        };
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let more: &[&str] = if kind == "dev-dependencies" {
                in_tests
            } else {
                &[]
            };
            for name in dependencies(package, kind).iter().filter(|n| own(n)) {
                if always.contains(&&**name) || more.contains(&&**name) {
                    continue;
                }
                let exception = EXCEPTIONS
                    .iter()
                    .position(|(from, to, _)| *from == package.name && *to == *name);
                match exception {
                    Some(at) => excused.push(at),
                    None => complaints.push(format!("{} {kind}: {name}", package.name)),
                }
            }
        }
    }
    for (at, (from, to, why)) in EXCEPTIONS.iter().enumerate() {
        if !excused.contains(&at) {
            complaints.push(format!(
                "{from} no longer depends on {to} ({why}): no exception needed"
            ));
        }
    }
    report(
        &complaints,
        "Move what both crates need to the lower one (facts: tessera-plan), or change RULES or EXCEPTIONS in \
         tests/tests/tidy/edges.rs and say why.",
    );
}

#[test]
fn emitted_crates_depend_on_the_runtime_alone() {
    let generated = generated();
    assert!(!generated.is_empty(), "no crate in generated/");
    let mut complaints = Vec::new();
    for package in &generated {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for name in dependencies(package, kind) {
                if !GENERATED.contains(&&*name) {
                    complaints.push(format!("{}: {name}", package.folder.display()));
                }
            }
        }
    }
    report(
        &complaints,
        "An emitted crate links the runtime and the node, nothing else: see the manifest that codegen emits.",
    );
}
