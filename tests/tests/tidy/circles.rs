//! Circles of imports between the files of a crate. A parent and the modules below it may know each
//! other; beside that, files lie in layers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    modules::Crate,
    report,
    sources::{self, Package},
};

type Graph = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// Circles that may stay, and why: crate, and the files (below `src`) of one circle each.
const EXCEPTIONS: &[(&str, &[&str])] = &[];

/// Sets of files that all import each other, directly or not (Tarjan 1972, by two searches: Kosaraju).
fn components(graph: &Graph) -> Vec<BTreeSet<PathBuf>> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for file in graph.keys() {
        visit(graph, file, &mut seen, &mut order);
    }
    let mut back: Graph = graph.keys().map(|f| (f.clone(), BTreeSet::new())).collect();
    for (from, list) in graph {
        for to in list {
            back.entry(to.clone()).or_default().insert(from.clone());
        }
    }
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    for file in order.iter().rev() {
        let mut component = Vec::new();
        visit(&back, file, &mut seen, &mut component);
        if component.len() > 1 {
            list.push(component.into_iter().collect());
        }
    }
    list
}

/// Depth first; a file comes behind those that it leads to.
fn visit(graph: &Graph, file: &PathBuf, seen: &mut BTreeSet<PathBuf>, order: &mut Vec<PathBuf>) {
    if !seen.insert(file.clone()) {
        return;
    }
    for next in graph.get(file).into_iter().flatten() {
        visit(graph, next, seen, order);
    }
    order.push(file.clone());
}

/// The circles in `component` that do not go through a parent: a parent is taken away with all imports of
/// it, and what is left is looked at again, down to the leaves.
fn without_parents(
    tree: &Crate,
    graph: &Graph,
    component: BTreeSet<PathBuf>,
    found: &mut Vec<BTreeSet<PathBuf>>,
) {
    let parent = component
        .iter()
        .find(|p| component.iter().all(|c| c == *p || tree.is_below(p, c)));
    let Some(parent) = parent else {
        found.push(component);
        return;
    };
    let rest = component.iter().filter(|f| *f != parent);
    let rest: Graph = rest
        .map(|f| {
            let to = graph[f].intersection(&component).filter(|t| *t != parent);
            (f.clone(), to.cloned().collect())
        })
        .collect();
    for smaller in components(&rest) {
        without_parents(tree, graph, smaller, found);
    }
}

/// The file's path below `src`.
fn short(package: &Package, file: &Path) -> String {
    let src = package.folder.join("src");
    file.strip_prefix(src)
        .unwrap_or(file)
        .to_string_lossy()
        .into_owned()
}

#[test]
fn files_lie_in_layers() {
    let mut complaints = Vec::new();
    let mut excused = BTreeSet::new();
    for package in sources::packages() {
        let tree = Crate::read(&package);
        let graph = tree.imports();
        assert!(!graph.is_empty(), "{} has no files", package.name);
        for component in components(&graph) {
            let mut circles = Vec::new();
            without_parents(&tree, &graph, component, &mut circles);
            for circle in circles {
                let names: BTreeSet<String> = circle.iter().map(|f| short(&package, f)).collect();
                let exception = EXCEPTIONS.iter().position(|(name, files)| {
                    *name == package.name && names.iter().all(|n| files.contains(&&**n))
                });
                if let Some(at) = exception {
                    excused.insert(at);
                    continue;
                }
                complaints.push(format!(
                    "{}: a circle of {} files:",
                    package.name,
                    names.len()
                ));
                for from in &circle {
                    let to: Vec<String> = graph[from]
                        .intersection(&circle)
                        .map(|f| short(&package, f))
                        .collect();
                    complaints.push(format!(
                        "    {} -> {}",
                        short(&package, from),
                        to.join(", ")
                    ));
                }
            }
        }
    }
    for (at, (name, files)) in EXCEPTIONS.iter().enumerate() {
        if !excused.contains(&at) {
            complaints.push(format!(
                "{name}: no circle among {files:?} any more, no exception needed"
            ));
        }
    }
    report(
        &complaints,
        "Move what two files need of each other to a file below both, or pass it as an argument \
         (or change EXCEPTIONS in tests/tests/tidy/circles.rs).",
    );
}

#[test]
fn circles_are_found() {
    let graph: Graph = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]
        .into_iter()
        .map(|(f, t)| (f.into(), [t.into()].into()))
        .collect();
    let found = components(&graph);
    assert_eq!(found, [["a", "b", "c"].map(PathBuf::from).into()]);
}
