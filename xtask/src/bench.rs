//! `cargo xtask bench`: what a plan takes on this machine.
//!
//! Three measurements: a plan alone, layer by layer, in one process ([`alone`]); beside other
//! engines ([`peers`]); and by executed instructions, which do not depend on
//! what else the machine does ([`instructions`]).

use anyhow::Result;

use crate::flags::BenchArgs;

mod alone;
pub mod instructions;
mod node;
mod peers;
mod profile;
mod subject;
mod times;

/// Runs the command.
///
/// # Errors
/// When the model cannot be planned or compiled, or what is measured fails.
pub fn run(args: &BenchArgs) -> Result<()> {
    let Some(model) = &args.model else {
        return instructions::run(&args.into());
    };
    if args.instructions {
        return instructions::one(args, model);
    }
    match &args.peers {
        Some(python) => peers::run(args, model, python.as_deref()),
        None => alone::run(args, model),
    }
}
