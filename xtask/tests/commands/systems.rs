//! `--system`: the systems of the DeepThings paper, and what contradicts them.

use tessera_plan::{placement::Placement, plan::Plan};

use crate::rig::{Folder, Ran};

fn plan(folder: &Folder, flags: &str) -> Ran {
    let base = "plan --model yolov2 --dry-run";
    let words = base.split(' ').chain(flags.split_whitespace());
    folder.run(&words.collect::<Vec<_>>())
}

#[test]
fn what_contradicts_a_system_is_refused_with_the_reason() {
    let folder = Folder::new();
    for (flags, words) in [
        ("--system bodp --edges 3 --grid 3x3", "leave --grid out"),
        ("--system bodp --edges 3 --offload 0", "give at least 1"),
        (
            "--system wsh --gateway-workers 2",
            "leave --gateway-workers out",
        ),
        (
            "--system bodp --edges 3 --gateway-workers 2",
            "leave --gateway-workers out",
        ),
        ("--system wsh --sources-steal no", "add --placement steal"),
        ("--sources-steal no", "add --placement steal"),
        ("--system wst --wire f32,f16", "wire"),
    ] {
        let ran = plan(&folder, flags);
        assert_eq!(ran.code, 1, "{flags}: {}", ran.err);
        assert!(
            ran.err.contains("error: ") && ran.err.contains(words),
            "{flags}: {}",
            ran.err
        );
    }
}

/// What is impossible by the flags alone is wrong usage, which says how the command is used.
#[test]
fn flags_that_a_system_sets_cannot_be_given_beside_it() {
    let folder = Folder::new();
    for flags in [
        "--system wst --placement home",
        "--system wsh --split balanced",
        "--system wst --border exchange",
        "--system bodp --cuts 4,8",
        "--system deepthings",
    ] {
        let ran = plan(&folder, flags);
        assert_eq!(ran.code, 2, "{flags}: {}", ran.err);
        assert!(ran.err.contains("--system"), "{flags}: {}", ran.err);
    }
}

#[test]
fn systems_are_the_flags_that_the_docs_say() {
    let folder = Folder::new();
    for (flags, stages, grid, placement) in [
        ("--system wst", 1, [5, 5], Placement::Queue),
        ("--system wst-s --grid 3x3", 1, [3, 3], Placement::Queue),
        (
            "--placement steal --offload 16 --grid 3x3",
            1,
            [3, 3],
            Placement::Steal,
        ),
        (
            "--system wst --sources-steal no",
            1,
            [5, 5],
            Placement::QueueIdle,
        ),
        ("--system wsh --grid 3x3", 1, [3, 3], Placement::Share),
        ("--system bodp --edges 4", 16, [4, 1], Placement::Share),
        (
            "--system bodp --edges 4 --offload 3",
            3,
            [4, 1],
            Placement::Share,
        ),
    ] {
        let ran = plan(&folder, &format!("{flags} --json"));
        ran.is_fine();
        let plan: Plan = serde_json::from_str(&ran.out).unwrap();
        let found = &plan.dataflow.stages;
        assert_eq!((found.len(), found[0].grid), (stages, grid), "{flags}");
        assert_eq!(plan.dataflow.placement, placement, "{flags}");
    }
}
