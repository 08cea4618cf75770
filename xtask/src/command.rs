//! The command that a plan records as its origin. The flags' values make the command, not the typed text: the demo
//! and the benches set flags themselves.

use std::path::Path;

use clap::{Arg, Args, Command, ValueHint};
use serde_json::Value;

use crate::flags::{ModelArgs, PlanArgs};

/// The flag that the command contains also at its default, unless a file describes the cluster: readers ask first
/// for the number of edges.
const ALWAYS: &str = "edges";

/// `cargo xtask plan` with the flags that differ from their defaults, in the order of their declaration. Files
/// lose their folders: plans record no paths.
pub fn of(model: &ModelArgs, plan: &PlanArgs) -> String {
    let declared = PlanArgs::augment_args(ModelArgs::augment_args(Command::new("plan")));
    let values = [serde_json::to_value(model), serde_json::to_value(plan)]
        .map(|v| v.expect("flags are plain data with names for keys"));
    let value = |flag: &Arg| values.iter().find_map(|v| v.get(flag.get_id().as_str()));
    let mut command = "cargo xtask plan".to_owned();
    for flag in declared.get_arguments() {
        let typed = value(flag).and_then(|v| typed(v, flag.get_value_hint()));
        let (Some(typed), Some(name)) = (typed, flag.get_long()) else {
            continue;
        };
        let always = name == ALWAYS && plan.cluster.is_none();
        if flag.get_default_values() == [typed.as_str()] && !always {
            continue;
        }
        command += &format!(" --{name}");
        if !typed.is_empty() {
            command += &format!(" {typed}");
        }
    }
    command
}

/// The text behind a flag that gives its value; `None` for an absent flag.
fn typed(value: &Value, hint: ValueHint) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(String::new()),
        Value::String(path) if matches!(hint, ValueHint::FilePath | ValueHint::DirPath) => {
            let name = Path::new(path).file_name();
            Some(name.map_or_else(|| path.clone(), |n| n.to_string_lossy().into_owned()))
        }
        Value::String(text) => Some(text.split_whitespace().collect()),
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => {
            let all: Vec<String> = list.iter().filter_map(|v| typed(v, hint)).collect();
            Some(all.join(","))
        }
        number => Some(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Parser, ValueEnum};

    use super::*;
    use crate::flags::{self, Cli, PlanCommand};

    fn parse(command: &str) -> PlanCommand {
        let words = command.split(' ').skip(1);
        match Cli::try_parse_from(words).unwrap().command {
            flags::Command::Plan(plan) => plan,
            other => panic!("{other:?}"),
        }
    }

    fn recorded(command: &str) -> String {
        let args = parse(command);
        of(&args.planned.model, &args.planned.plan)
    }

    #[test]
    fn flags_are_recorded_as_they_are_typed() {
        for command in [
            "cargo xtask plan --model a.cfg --edges 2",
            "cargo xtask plan --model a.cfg --grid 3x3 --offload 8 --edges 2 --target x86-64-v3",
            "cargo xtask plan --model a.cfg --weights random:1 --darknet pjreddie --grid 5x5,3x2 --cuts 4,8 \
             --split equal --exact --no-rolling --costs cortex-a53 --tiles 32 --weights-format f16 --edges 64 \
             --workers 2 --gateway-workers 3 --team 1 --memory 1.5GiB --target armv7",
            "cargo xtask plan --model a.cfg --wire f16,f32 --frame-format u8 --row-block 3 --kernels winograd4 --edges 1 \
             --rate 38.4Mbit --delay 15ms",
            "cargo xtask plan --model a.cfg --goal fps=1.5 --cameras 6 --exact --cluster cluster.toml",
            "cargo xtask plan --model a.cfg --placement steal --sources-steal no --edges 3",
            "cargo xtask plan --model a.cfg --system bodp --edges 3",
            "cargo xtask plan --model a.cfg --wire u8,f16 --calibrate-on pictures --edges 3",
            "cargo xtask plan --model a.cfg --grid 3x3 --cuts 4,8 --border recompute,exchange --edges 3",
            "cargo xtask plan --model a.cfg --edges 3 --from-run plan.toml,edge1.json",
        ] {
            assert_eq!(recorded(command), command);
        }
        // Every flag occurs above.
        let declared = PlanArgs::augment_args(ModelArgs::augment_args(Command::new("plan")));
        let names: BTreeSet<&str> = declared.get_arguments().filter_map(Arg::get_long).collect();
        let seen = "model weights darknet grid offload cuts split border goal cameras placement sources-steal system exact wire calibrate-on frame-format no-rolling row-block kernels costs \
            tiles weights-format edges workers gateway-workers team memory target rate delay cluster from-run";
        assert_eq!(names, seen.split_whitespace().collect());
    }

    #[test]
    fn folders_spaces_and_defaults_are_left_out() {
        let mut args = parse(
            "cargo xtask plan --team 4 --split balanced --workers 1 --kernels auto --darknet alexey \
             --model /a/b/c.cfg --weights ../x/y.weights --costs out/costs.toml",
        );
        args.planned.plan.memory = Some(" 64 MiB".into());
        args.planned.plan.grid = Some("5x5, 3x2".into());
        assert_eq!(
            of(&args.planned.model, &args.planned.plan),
            "cargo xtask plan --model c.cfg --weights y.weights --grid 5x5,3x2 --costs costs.toml --edges 2 \
             --memory 64MiB"
        );
    }

    #[test]
    fn choices_are_recorded_by_the_names_that_clap_reads() {
        fn check<T: ValueEnum + serde::Serialize>() {
            for v in T::value_variants() {
                let name = v.to_possible_value().unwrap();
                assert_eq!(serde_json::to_value(v).unwrap(), name.get_name());
            }
        }
        check::<flags::Fork>();
        check::<flags::SplitFlag>();
        check::<flags::BorderFlag>();
        check::<flags::KernelsFlag>();
        check::<flags::WeightsFlag>();
        check::<flags::WireFlag>();
        check::<flags::FrameFlag>();
    }
}
