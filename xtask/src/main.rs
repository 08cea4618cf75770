//! `cargo xtask`: the command for all tasks of people, from planning to checks.
#![forbid(unsafe_code)]

mod address;
mod bench;
mod boards;
mod build;
mod calibrate;
mod children;
mod ci;
mod cluster;
mod command;
mod compile;
mod demo;
mod deploy;
mod diagnostics;
mod doctor;
mod emit;
mod emit_plan;
mod exit;
mod files;
mod flags;
mod gateway;
#[cfg(test)]
mod generated;
mod images;
mod inspect;
mod manual;
mod mca;
mod measured;
mod members;
mod model;
mod names;
mod out;
mod package;
mod paper;
mod plan;
mod predicted;
mod probes;
mod progress;
mod ranges;
mod recorded;
mod report;
mod run;
mod simulate;
mod sources;
mod start;
mod strip;
mod summary;
mod systems;
mod top;
mod trace;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use flags::{Cli, Command};

fn main() -> ExitCode {
    let command = Cli::parse().command;
    exit::code(
        children::listen()
            .map_err(Into::into)
            .and_then(|()| execute(command)),
    )
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::Demo(a) => demo::run(&a),
        Command::Inspect(a) => inspect::run(&a),
        Command::Plan(a) => plan::run(&a),
        Command::Emit(a) => emit_plan::run(&a),
        Command::Build(a) => build::run(&a),
        Command::Run(a) => run::run(&a),
        Command::Paper(a) => paper::run(&a),
        Command::Simulate(a) => simulate::run(&a),
        Command::Report(a) => report::run(&a),
        Command::Bench(a) => bench::run(&a),
        Command::Calibrate(a) => calibrate::run(&a),
        Command::Cluster(c) => members::run(&c),
        Command::Deploy(a) => deploy::run(&a),
        Command::Rollback(a) => deploy::rollback(&a),
        Command::Undeploy(a) => deploy::undeploy(&a),
        Command::Doctor(a) => doctor::run(&a),
        Command::Top(a) => top::run(&a),
        Command::Trace(a) => trace::run(&a),
        Command::Package(a) => package::run(&a),
        Command::Manual(a) => manual::run(&a),
        Command::Mca => mca::run(),
        Command::Weights(c) => inspect::weights(&c),
        Command::Ci(a) => ci::run(&a),
    }
}
